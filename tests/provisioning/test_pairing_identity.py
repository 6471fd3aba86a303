"""Which meter is really read: reports warn, sealed hashes prove, people compare displays, operators decide."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage

from meterwire.ids import MeterId
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.models import Meter
from provisioning.pairing.models import Configuration, Pairing
from provisioning.pairing.queries import open_pairings_of, progress
from provisioning.pairing.services import confirm, found_identity, record_step, resolve_mismatch, set_photo, unpair
from tests.cast import LONG_AGO, Cast
from tests.provisioning.labelled import picture

AT = LONG_AGO + timedelta(minutes=1)
LATER = AT + timedelta(minutes=1)


def metered(cast: Cast, meter_id: str = "1 EMH 00 1234 5678") -> Pairing:
    meter = cast.meter(meter_id=meter_id)
    return cast.pairing(cast.adapter(meter.metering_point.site), meter.metering_point)


def state(pairing: Pairing) -> tuple[str, str]:
    pairing.refresh_from_db()
    return pairing.state, pairing.identity


OWN = MeterId.parse("1 EMH 00 1234 5678").server_id()
OTHER = MeterId.parse("1 EMH 00 8765 4321").server_id()


def test_a_sealed_hash_that_fits_confirms(cast: Cast) -> None:
    held = metered(cast)
    assert found_identity(held, "match", OWN, AT, "report")
    assert state(held) == ("pending", "unknown")
    assert found_identity(held, "match", b"", LATER, "sealed")
    assert state(held) == ("confirmed", "match")
    assert (held.identity_read, held.identity_at) == (OWN.hex(), LATER)
    assert not found_identity(held, "match", b"", LATER, "sealed")
    assert Entry.objects.filter(action="pairing.identity", actor_name="bridge").count() == 1
    assert {step: at for step, at, _ in progress(held)}["identity"] == AT


@pytest.mark.parametrize("proof", ["report", "sealed"])
def test_another_meter_is_a_mismatch_whoever_says_so(cast: Cast, proof: str) -> None:
    held = metered(cast)
    assert found_identity(held, "mismatch", OTHER, AT, proof)  # type: ignore[arg-type]
    assert state(held) == ("pending", "mismatch")
    with pytest.raises(Conflict):
        confirm(cast.operator, held)


@pytest.mark.parametrize("outcome", ["mismatch", "unreadable", "match"])
def test_a_report_that_a_concentrator_could_forge_takes_no_proof_back(cast: Cast, outcome: str) -> None:
    held = metered(cast)
    found_identity(held, "match", OWN, AT, "sealed")
    found_identity(held, outcome, OTHER, LATER, "report")
    assert state(held) == ("confirmed", "match")


def test_a_sealed_mismatch_ends_even_a_match(cast: Cast) -> None:
    held = metered(cast)
    found_identity(held, "match", OWN, AT, "sealed")
    found_identity(held, "mismatch", OTHER, LATER, "sealed")
    assert state(held) == ("pending", "mismatch")


def test_a_meter_that_tells_nothing_waits_for_a_person(cast: Cast) -> None:
    held = metered(cast)
    found_identity(held, "unreadable", b"", AT, "report")
    assert state(held) == ("pending", "unreadable")
    confirm(cast.installer, held, reason="display compared")
    assert state(held) == ("confirmed", "unreadable")
    found_identity(held, "mismatch", OTHER, LATER, "report")
    assert state(held) == ("pending", "mismatch")


def test_a_mismatch_heals_when_the_adapter_was_put_right(cast: Cast) -> None:
    held = metered(cast)
    found_identity(held, "mismatch", OTHER, AT, "sealed")
    found_identity(held, "match", OWN, LATER, "report")
    assert state(held) == ("pending", "mismatch")
    found_identity(held, "match", OWN, LATER, "sealed")
    assert state(held) == ("confirmed", "match")


def test_an_ended_pairing_learns_nothing(cast: Cast) -> None:
    held = metered(cast)
    unpair(cast.operator, held, reason="moved out")
    assert not found_identity(held, "match", OWN, AT, "sealed")


def test_names_and_outcomes_out_of_range_are_refused(cast: Cast) -> None:
    held = metered(cast)
    with pytest.raises(Invalid):
        found_identity(held, "match", bytes(21), AT, "sealed")
    with pytest.raises(Invalid):
        found_identity(held, "maybe", b"", AT, "sealed")


def test_accepting_puts_the_meter_that_was_read_in_the_place_of_the_scanned_one(cast: Cast) -> None:
    held = metered(cast)
    found_identity(held, "mismatch", OTHER, AT, "sealed")
    before = Configuration.objects.get(adapter=held.adapter).version
    resolve_mismatch(cast.operator, held, "accept", reason="label was read from the neighbour")
    assert state(held) == ("pending", "unknown")
    assert held.meter is not None
    assert (held.meter.meter_id, held.identity_read) == ("1EMH0087654321", "")
    assert Meter.objects.get(removed_at=None) == held.meter
    configuration = Configuration.objects.get(adapter=held.adapter)
    assert configuration.version == before + 1
    assert OTHER.hex() in configuration.records
    assert Entry.objects.get(action="pairing.resolved").data["meter"] == ["1EMH0012345678", "1EMH0087654321"]


def test_accepting_a_meter_whose_name_tells_no_number_needs_the_number(cast: Cast) -> None:
    held = metered(cast)
    found_identity(held, "mismatch", b"\x05\x11\x22\x33\x44\x55\x66", AT, "report")
    with pytest.raises(Invalid):
        resolve_mismatch(cast.operator, held, "accept")
    resolve_mismatch(cast.operator, held, "accept", meter_id="1 EMH 00 8765 4321")
    assert held.meter is not None
    assert (held.meter.meter_id, held.meter.server_id) == ("1EMH0087654321", "05112233445566")


def test_accepting_a_meter_that_another_adapter_is_paired_with_is_refused(cast: Cast) -> None:
    held = metered(cast)
    metered(cast, "1 EMH 00 8765 4321")
    found_identity(held, "mismatch", OTHER, AT, "sealed")
    with pytest.raises(Conflict, match="swap"):
        resolve_mismatch(cast.operator, held, "accept")


def test_swapping_exchanges_the_metering_points_of_the_two(cast: Cast, django_capture_on_commit_callbacks: Any) -> None:
    one, other = metered(cast), metered(cast, "1 EMH 00 8765 4321")
    record_step(one.pk, "joined", AT)
    found_identity(one, "mismatch", OTHER, AT, "sealed")
    found_identity(other, "mismatch", OWN, AT, "sealed")
    set_photo(cast.installer, other, picture())
    new = resolve_mismatch(cast.operator, one, "swap", reason="installed crosswise")
    kept = other.photo
    with django_capture_on_commit_callbacks(execute=True):
        set_photo(cast.installer, new, picture())
    assert default_storage.exists(kept)
    assert (new.adapter, new.metering_point, new.meter) == (one.adapter, other.metering_point, other.meter)
    [second] = open_pairings_of([other.adapter_id])
    assert (second.metering_point, second.meter) == (one.metering_point, one.meter)
    assert {state(new), state(second)} == {("pending", "unknown")}
    assert state(one)[0] == state(other)[0] == "ended"
    assert {step: at for step, at, _ in progress(new)}["joined"] == AT
    assert OTHER.hex() in Configuration.objects.get(adapter=one.adapter).records
    assert OWN.hex() in Configuration.objects.get(adapter=other.adapter).records
    with pytest.raises(Conflict):
        resolve_mismatch(cast.operator, one, "swap")


def test_swapping_with_nobody_is_refused(cast: Cast) -> None:
    held = metered(cast)
    found_identity(held, "mismatch", OTHER, AT, "sealed")
    with pytest.raises(Conflict, match="No other pairing"):
        resolve_mismatch(cast.operator, held, "swap")


def test_retrying_waits_for_the_name_anew(cast: Cast) -> None:
    held = metered(cast)
    found_identity(held, "mismatch", OTHER, AT, "sealed")
    resolve_mismatch(cast.operator, held, "retry")
    assert (state(held), held.identity_read) == (("pending", "unknown"), "")
    assert {step: at for step, at, _ in progress(held)}["identity"] is None
    found_identity(held, "match", OWN, LATER, "sealed")
    assert state(held) == ("confirmed", "match")
    with pytest.raises(Conflict, match="no mismatch"):
        resolve_mismatch(cast.operator, held, "retry")


@pytest.mark.parametrize("how", ["", "yes", "Accept"])
def test_there_are_three_ways(cast: Cast, how: str) -> None:
    with pytest.raises(Invalid):
        resolve_mismatch(cast.operator, metered(cast), how)
