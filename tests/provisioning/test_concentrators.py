"""Concentrators: registering, pinning their keys, their broker account, and what they report."""

import hashlib
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from meterwire.messages import ClockState, GatewayState, State
from meterwire.transport_key import fingerprint, public_key
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Invalid
from provisioning.fleet import broker, queries
from provisioning.fleet.models import Concentrator
from provisioning.fleet.services import (
    approve_key,
    archive_concentrator,
    register_concentrator,
    report_state,
    reset_password,
    update_concentrator,
)
from tests.cast import Cast

EUI = "00800000a0001234"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BOOT, LATER_BOOT = "01K00000000000000000000000", "01K00000000000000000000001"
KEY, OTHER_KEY = public_key(b"\1" * 32).hex(), public_key(b"\2" * 32).hex()


def state(**fields: Any) -> State:
    values = {"id": BOOT, "time": "2026-11-24T12:00:00.000Z", "online": True, "boot": BOOT, "public_key": KEY}
    return State(**{**values, **fields})


def test_a_registered_concentrator_gets_a_password_that_only_its_hash_survives(cast: Cast) -> None:
    made = register_concentrator(cast.operator, cast.organisation, eui=EUI.upper(), name="Roof")
    row = Concentrator.objects.get(eui=EUI)
    assert made.password not in f"{row.mqtt_password}{made!r}{list(Entry.objects.values())}"
    assert queries.broker_accounts() == [(EUI, row.mqtt_password)]
    old = row.mqtt_password
    again = reset_password(cast.operator, row)
    assert again.password != made.password
    assert queries.broker_accounts()[0][1] != old


def test_the_hash_is_the_one_that_mosquitto_computes() -> None:
    text = broker.password_hash("secret", b"s" * 12, 101)
    _, kind, iterations, salt, digest = text.split("$")
    assert (kind, iterations, b64decode(salt)) == ("7", "101", b"s" * 12)
    assert b64decode(digest) == hashlib.pbkdf2_hmac("sha512", b"secret", b"s" * 12, 101)


def test_eui_and_name_are_unique(cast: Cast) -> None:
    register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof")
    with pytest.raises(Conflict, match="EUI"):
        register_concentrator(cast.outsider, cast.away.organisation, eui=EUI, name="Roof")
    with pytest.raises(Conflict, match="name"):
        register_concentrator(cast.operator, cast.organisation, eui="0" * 16, name="Roof")
    with pytest.raises(Invalid):
        register_concentrator(cast.operator, cast.organisation, eui="12", name="Other")
    with pytest.raises(Invalid, match="no such object"):
        register_concentrator(
            cast.operator, cast.organisation, eui="0" * 16, name="Other", site=cast.site(company=cast.away)
        )


@pytest.mark.parametrize("wrong", ["00" * 31, "zz" * 32, "00" * 32, "01" + "00" * 31])
def test_a_key_that_cannot_be_used_is_refused(cast: Cast, wrong: str) -> None:
    with pytest.raises(Invalid) as refusal:
        register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof", public_key=wrong)
    assert refusal.value.field == "public_key"


def test_a_key_given_at_registration_is_approved_by_that(cast: Cast) -> None:
    made = register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof", public_key=KEY)
    assert made.concentrator.key_approved
    assert made.concentrator.key_approved_by == cast.operator


def test_an_announced_key_waits_until_somebody_compared_its_fingerprint(cast: Cast) -> None:
    register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof")
    row = report_state(EUI, state(), NOW)
    assert row is not None
    assert (row.key_approved, row.key_waiting, row.key_changed) == (False, True, False)
    with pytest.raises(Conflict, match="another key"):
        approve_key(cast.operator, row, fingerprint(bytes.fromhex(OTHER_KEY)))
    approve_key(cast.operator, row, fingerprint(bytes.fromhex(KEY)).upper())
    assert (row.key_approved, row.key_waiting, row.public_key) == (True, False, KEY)
    assert row.desired_revision == row.whole_since == 2
    assert list(queries.concentrators_behind()) == [row]


def test_a_changed_key_is_an_alarm_and_never_used(cast: Cast) -> None:
    register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof", public_key=KEY)
    row = report_state(EUI, state(public_key=OTHER_KEY), NOW)
    assert row is not None
    assert row.key_changed
    assert row.public_key == KEY
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.actor, entry.actor_name) == ("concentrator.key_announced", None, "bridge")
    assert entry.data == {"fingerprint": fingerprint(bytes.fromhex(OTHER_KEY)), "changed": True}
    row = report_state(EUI, state(), NOW + timedelta(hours=1))
    assert row is not None
    assert not row.key_changed


def test_a_concentrator_that_changes_its_key_all_the_time_fills_no_audit(cast: Cast) -> None:
    register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof", public_key=KEY)
    before = Entry.objects.count()
    for number in range(20):
        key = public_key(bytes([number + 3]) * 32).hex()
        report_state(EUI, state(public_key=key), NOW + timedelta(seconds=number))
    assert Entry.objects.count() == before + 1
    report_state(EUI, state(public_key="00" * 32), NOW + timedelta(hours=1))
    assert Entry.objects.count() == before + 1


def test_approving_without_an_announcement_is_refused(cast: Cast) -> None:
    made = register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof")
    with pytest.raises(Conflict, match="announced no key"):
        approve_key(cast.operator, made.concentrator, "")


def test_a_state_is_stored(cast: Cast) -> None:
    register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof", public_key=KEY)
    gateway = GatewayState(gw="70b3d57ed0000f01", online=True, last_seen="2026-11-24T11:59:00.000Z")
    clock = ClockState(quality="ntp", offset_ms=1.5)
    reported = state(
        version="0.1.0", revision=1, devices=12, queue_depth=3, oldest_age_s=2.5, clock=clock, gateways=(gateway,)
    )
    report_state(EUI, reported, NOW)
    row = Concentrator.objects.get(eui=EUI)
    assert (row.online, row.boot, row.version, row.mode) == (True, BOOT, "0.1.0", "stand-alone")
    assert (row.running_revision, row.devices, row.queue_depth, row.oldest_age_s) == (1, 12, 3, 2.5)
    assert (row.clock_quality, row.clock_offset_ms, row.last_state_at) == ("ntp", 1.5, NOW)
    assert row.gateways[0]["gw"] == "70b3d57ed0000f01"
    assert not queries.concentrators_behind().exists()


def test_numbers_beyond_every_bound_are_cut(cast: Cast) -> None:
    register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof", public_key=KEY)
    huge = state(
        version="v" * 500,
        revision=2**80,
        devices=-5,
        queue_depth=2**70,
        oldest_age_s=float("inf"),
        dropped=2**90,
        clock=ClockState(quality="free", offset_ms=1e300),
    )
    report_state(EUI, huge, NOW)
    row = Concentrator.objects.get(eui=EUI)
    assert (row.devices, row.queue_depth, row.running_revision) == (0, 2**31 - 1, 2**63 - 1)
    assert row.desired_revision == 1


def test_the_last_will_of_an_earlier_boot_changes_nothing(cast: Cast) -> None:
    register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof", public_key=KEY)
    report_state(EUI, state(boot=LATER_BOOT), NOW)
    report_state(EUI, state(online=False), NOW)
    assert Concentrator.objects.get(eui=EUI).online
    report_state(EUI, state(online=False, boot=LATER_BOOT, public_key=None), NOW)
    row = Concentrator.objects.get(eui=EUI)
    assert not row.online
    assert row.version == ""


def test_a_portal_that_was_set_back_goes_on_above_what_runs(cast: Cast) -> None:
    register_concentrator(cast.operator, cast.organisation, eui=EUI, name="Roof", public_key=KEY)
    report_state(EUI, state(revision=500), NOW)
    row = Concentrator.objects.get(eui=EUI)
    assert (row.desired_revision, row.whole_since) == (501, 501)


def test_a_stranger_s_state_is_nobody_s(cast: Cast) -> None:
    assert report_state(EUI, state(), NOW) is None
    assert queries.concentrator_by_eui(EUI) is None


def test_a_serving_concentrator_is_not_archived_and_an_archived_one_may_not_connect(cast: Cast) -> None:
    site = cast.site()
    row, idle = cast.concentrator(site), cast.concentrator(site)
    cast.adapter(site, row)
    with pytest.raises(Conflict, match="move them"):
        archive_concentrator(cast.operator, row)
    archive_concentrator(cast.operator, idle)
    assert [name for name, _ in queries.broker_accounts()] == [row.eui]
    assert report_state(idle.eui, state(), NOW) is None
    with pytest.raises(Conflict, match="archived"):
        update_concentrator(cast.operator, idle, name="New", site=site)


def test_name_and_site_change(cast: Cast) -> None:
    row, site = cast.concentrator(), cast.site()
    update_concentrator(cast.operator, row, name="Attic", site=site)
    row.refresh_from_db()
    assert (row.name, row.site) == ("Attic", site)
    assert row in queries.visible_concentrators(cast.viewer, cast.organisation)
