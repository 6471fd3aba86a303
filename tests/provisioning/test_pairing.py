"""Pairings: which input reads which metering point, from when to when."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.models import Meter
from provisioning.pairing.models import Pairing
from provisioning.pairing.queries import PairingTimes, metering_point_at, pairing_times, visible_pairings
from provisioning.pairing.services import confirm, pair, replace_adapter, replace_meter, unpair
from tests.cast import LONG_AGO, Cast

DAY = timedelta(days=1)


def test_a_pairing_takes_the_meter_that_stands_there_and_waits_for_confirmation(cast: Cast) -> None:
    meter = cast.meter()
    adapter = cast.adapter(meter.metering_point.site)
    held = pair(cast.installer, adapter, meter.metering_point, reason="first installation")
    assert (held.meter, held.state, held.identity, held.to_at) == (meter, "pending", "unknown", None)
    confirm(cast.installer, held, "unreadable", "display compared")
    assert (held.state, held.identity) == ("confirmed", "unreadable")
    with pytest.raises(Conflict, match="waiting"):
        confirm(cast.installer, held, "unreadable")
    actions = list(Entry.objects.order_by("id").values_list("action", flat=True))[-2:]
    assert actions == ["pairing.created", "pairing.confirmed"]


@pytest.mark.parametrize("identity", ["match", "mismatch", "unknown", "yes"])
def test_nobody_confirms_a_mismatch(cast: Cast, identity: str) -> None:
    with pytest.raises(Invalid):
        confirm(cast.operator, cast.pairing(), identity)


def test_an_input_reads_one_place_and_a_place_is_read_by_one_input(cast: Cast) -> None:
    held = cast.pairing()
    site = held.adapter.site
    with pytest.raises(Conflict, match="input"):
        pair(cast.operator, held.adapter, cast.metering_point(site))
    with pytest.raises(Conflict, match="another adapter"):
        pair(cast.operator, cast.adapter(site), held.metering_point)
    pair(cast.operator, held.adapter, cast.metering_point(site), input=1)
    pair(cast.operator, cast.adapter(site), held.metering_point, register_group="export")


def test_the_database_itself_allows_one_open_pairing(cast: Cast) -> None:
    held = cast.pairing()
    site = held.adapter.site
    for adapter, point, input in (
        (held.adapter, cast.metering_point(site), 0),
        (cast.adapter(site), held.metering_point, 0),
        (cast.adapter(site), cast.metering_point(site), 8),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Pairing.objects.create(organisation=cast.organisation, adapter=adapter, metering_point=point, input=input)
    for change in ({"state": "ended"}, {"to_at": LONG_AGO}, {"to_at": LONG_AGO - DAY, "state": "ended"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Pairing.objects.filter(pk=held.pk).update(**change)


def test_values_out_of_range_are_refused(cast: Cast) -> None:
    adapter = cast.adapter()
    point = cast.metering_point(adapter.site)
    for input in (-1, 8):
        with pytest.raises(Invalid):
            pair(cast.operator, adapter, point, input=input)
    with pytest.raises(Invalid, match="time zone"):
        pair(cast.operator, adapter, point, from_at=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(Invalid, match="no such object"):
        pair(cast.operator, adapter, cast.metering_point(cast.site(company=cast.away)))


def test_an_ended_pairing_keeps_what_was_read_and_stays_ended(cast: Cast) -> None:
    held = cast.pairing()
    unpair(cast.operator, held, reason="moved out", at=LONG_AGO + DAY)
    assert (held.state, held.to_at) == ("ended", LONG_AGO + DAY)
    with pytest.raises(Conflict, match="ended already"):
        unpair(cast.operator, held, reason="again")
    with pytest.raises(Invalid):
        unpair(cast.operator, cast.pairing(), reason="too early", at=LONG_AGO - DAY)
    with pytest.raises(Invalid):
        unpair(cast.operator, cast.pairing(), reason="")


def test_pairings_of_one_input_never_overlap(cast: Cast) -> None:
    held = cast.pairing()
    unpair(cast.operator, held, reason="moved out", at=LONG_AGO + DAY)
    with pytest.raises(Conflict, match="lasted beyond"):
        pair(cast.operator, held.adapter, held.metering_point, from_at=LONG_AGO + DAY / 2)
    again = pair(cast.operator, held.adapter, held.metering_point, from_at=LONG_AGO + DAY)
    assert again.from_at == held.to_at


def test_a_replaced_adapter_leaves_the_history_with_the_metering_point(cast: Cast) -> None:
    old = cast.pairing()
    spare = cast.adapter(old.adapter.site)
    new = replace_adapter(cast.operator, old, spare, reason="broken", at=LONG_AGO + DAY)
    assert (new.metering_point, new.adapter, new.from_at) == (old.metering_point, spare, old.to_at)
    assert metering_point_at(old.adapter_id, 0, LONG_AGO) == old.metering_point_id
    assert metering_point_at(old.adapter_id, 0, LONG_AGO + DAY) is None
    assert metering_point_at(spare.pk, 0, LONG_AGO + DAY) == old.metering_point_id


def test_a_replacement_that_fails_changes_nothing(cast: Cast) -> None:
    old, busy = cast.pairing(), cast.pairing()
    with pytest.raises(Conflict):
        replace_adapter(cast.operator, old, busy.adapter, reason="broken")
    old.refresh_from_db()
    assert old.to_at is None


def test_a_replaced_meter_is_followed_by_the_new_one(cast: Cast) -> None:
    old_meter = cast.meter()
    old = cast.pairing(cast.adapter(old_meter.metering_point.site), old_meter.metering_point)
    at = LONG_AGO + DAY
    new = replace_meter(cast.operator, old, "1 EMH 00 1234 5678", reason="calibration ended", maker="EMH", at=at)
    assert new.meter is not None
    assert (new.meter.meter_id, new.meter.installed_at, new.adapter) == ("1EMH0012345678", at, old.adapter)
    assert Meter.objects.get(pk=old_meter.pk).removed_at == at
    assert new.state == "pending"


def test_open_pairings_can_be_listed_alone(cast: Cast) -> None:
    held, ended = cast.pairing(), cast.pairing()
    unpair(cast.operator, ended, reason="moved out")
    assert set(visible_pairings(cast.viewer, cast.organisation)) == {held, ended}
    assert list(visible_pairings(cast.viewer, cast.organisation, open_only=True)) == [held]


def test_the_bulk_answer_is_the_single_one_at_every_moment(cast: Cast) -> None:
    held = cast.pairing()
    site = held.adapter.site
    unpair(cast.operator, held, reason="r", at=LONG_AGO + DAY)
    brief = pair(cast.operator, held.adapter, cast.metering_point(site), from_at=LONG_AGO + 2 * DAY)
    unpair(cast.operator, brief, reason="r", at=LONG_AGO + 2 * DAY)
    pair(cast.operator, held.adapter, cast.metering_point(site), from_at=LONG_AGO + 2 * DAY)
    times = pairing_times([held.adapter_id])
    for hours in range(-12, 72, 6):
        moment = LONG_AGO + timedelta(hours=hours)
        assert times.at(held.adapter_id, 0, moment) == metering_point_at(held.adapter_id, 0, moment)
    assert times.at(held.adapter_id, 1, LONG_AGO) is None
    assert times.at(0, 0, LONG_AGO) is None


@given(st.lists(st.integers(1, 50), min_size=2, max_size=20), st.integers(0, 1100), st.booleans())
def test_times_answer_like_a_plain_search(lengths: list[int], hour: int, open_end: bool) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows: list[tuple[int, int, datetime, datetime | None, int]] = []
    at = start
    for number, length in enumerate(lengths):
        end = at + timedelta(hours=length)
        if number % 3:  # every third span is a time without pairing
            rows.append((1, 0, at, end, number))
        at = end
    if open_end:
        rows.append((1, 0, at, None, 99))
    moment = start + timedelta(hours=hour)
    expected = [point for _, _, begin, end, point in rows if begin <= moment and (end is None or moment < end)]
    assert PairingTimes(reversed(rows)).at(1, 0, moment) == (expected[0] if expected else None)


def test_pairings_of_many_adapters_take_one_query(cast: Cast, django_assert_num_queries: object) -> None:
    held = [cast.pairing() for _ in range(3)]
    with django_assert_num_queries(1):  # type: ignore[operator]
        times = pairing_times([pairing.adapter_id for pairing in held])
    assert [times.at(pairing.adapter_id, 0, LONG_AGO) for pairing in held] == [p.metering_point_id for p in held]
