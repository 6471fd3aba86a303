"""What the pipeline makes of telegrams: rows, refusals with their diagnosis, duplicates, late ones and replays."""

from datetime import UTC, datetime, timedelta

import pytest

from meterwire import config_records
from meterwire.config_records import CounterReport, FirmwareReport
from meterwire.ids import DevEUI
from meterwire.messages import timestamp
from meterwire.seal import InnerKey, ValuesSealer
from meterwire.values_telegram import Mode
from portal.telemetry.arrivals import Arrival
from portal.telemetry.models import AdapterEvent, AdapterStatus, Reading, Telegram
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.pairing.models import Pairing
from tests.portal.stage import NOON, Stage, telegram

pytestmark = pytest.mark.django_db


def errors(arrivals: list[Arrival]) -> list[str | None]:
    return [arrival.error for arrival in arrivals]


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_sealed_telegram_becomes_one_reading_per_register(stage: Stage) -> None:
    device = stage.device()
    stage.run(device.telegram((1, 56_841_020), (2, 3_197_930), seal_counter=0x1267F))
    rows = Reading.objects.order_by("register").values_list("adapter", "counter", "register", "value")
    assert list(rows) == [(device.row.pk, 0x1267F, 1, 56_841_020), (device.row.pk, 0x1267F, 2, 3_197_930)]
    kept = Telegram.objects.get()
    assert (kept.error, kept.counter, kept.key_slot, kept.sealed) == (None, 0x1267F, 1, False)
    assert kept.rx == [{"gw": "70b3d57ed0000f01", "rssi": -97.0, "snr": 7.5}]
    assert kept.time_quality == 2
    assert kept.received_at == at(NOON)


def test_a_batch_may_hold_many_adapters_and_many_telegrams_of_each(stage: Stage) -> None:
    devices = [stage.device() for _ in range(5)]
    stage.run(*(device.telegram() for _ in range(4) for device in devices))
    assert Reading.objects.count() == 5 * 4 * 2
    assert AdapterStatus.objects.filter(telegrams=4, received=4).count() == 5


@pytest.mark.parametrize("mode", [Mode.VALUES, Mode.ALL, Mode.CLEAR])
def test_every_sealed_mode_opens(stage: Stage, mode: Mode) -> None:
    stage.run(stage.device().telegram((1, 7), (7, -250), (2 * 32 + 1, 9), mode=mode))
    assert set(Reading.objects.values_list("register", "value")) == {(1, 7), (7, -250), (65, 9)}


def test_the_age_register_dates_the_values_of_its_input_and_is_no_reading(stage: Stage) -> None:
    device = stage.device()
    stage.run(device.telegram((1, 5), (27, 60), (33, 6), dr=5))
    first, other = Reading.objects.order_by("register")
    assert [first.register, other.register] == [1, 33]
    assert other.measured_at - first.measured_at == timedelta(seconds=60)
    airtime = at(NOON) - other.measured_at
    assert timedelta(milliseconds=50) < airtime < timedelta(milliseconds=120)


def test_a_reading_belongs_to_the_metering_point_of_its_input_at_its_time(stage: Stage) -> None:
    device, before, after = stage.device(), stage.metering_point("Flat 1"), stage.metering_point("Flat 2")
    change = at(NOON - 30)
    Pairing.objects.create(
        organisation=stage.organisation, adapter=device.row, metering_point=before, state="ended",
        from_at=at(NOON - 3600), to_at=change,
    )  # fmt: skip
    Pairing.objects.create(organisation=stage.organisation, adapter=device.row, metering_point=after, from_at=change)
    stage.run(device.telegram((1, 5)), device.telegram((1, 4), (27, 60)), device.telegram((33, 4)))
    found = Reading.objects.order_by("counter").values_list("metering_point", flat=True)
    assert list(found) == [after.pk, before.pk, None]


def test_a_concentrator_ahead_of_time_cannot_date_a_reading_into_the_future(stage: Stage) -> None:
    stage.run(stage.device().telegram((1, 5), received_at=timestamp(NOON + 86_400)))
    assert abs(Reading.objects.get().measured_at - at(NOON)) < timedelta(seconds=2)


def test_a_concentrator_that_never_had_the_time_is_not_believed_about_1970(stage: Stage) -> None:
    device = stage.device()
    stage.run(
        device.telegram((1, 5), received_at=timestamp(40), time_quality="none"),
        device.telegram((1, 6), received_at=timestamp(NOON - 90 * 86_400), time_quality="ntp"),
    )
    first, buffered = Reading.objects.order_by("value")
    assert abs(first.measured_at - at(NOON)) < timedelta(seconds=2)
    assert abs(buffered.measured_at - at(NOON - 90 * 86_400)) < timedelta(seconds=2)


# Refusals: the telegram stays, with its diagnosis, and no reading is made.


def test_an_unknown_adapter_is_kept_and_named(stage: Stage) -> None:
    arrivals = stage.run(telegram("70b3d57ed1ffffff", payload=b"\x11\x00\x00secret"))
    assert errors(arrivals) == ["unknown_adapter"]
    kept = Telegram.objects.get()
    assert (kept.adapter, kept.error, kept.dev_eui) == (None, "unknown_adapter", "70b3d57ed1ffffff")
    assert bytes(kept.payload) == b"\x11\x00\x00secret"
    assert not AdapterStatus.objects.exists()


def test_the_adapter_of_another_organisation_is_unknown(stage: Stage) -> None:
    other = Stage("globex")
    assert errors(stage.run(other.device().telegram())) == ["unknown_adapter"]
    assert Telegram.objects.get().adapter is None


def test_an_archived_adapter_is_unknown_from_the_next_batch_on(stage: Stage) -> None:
    device = stage.device()
    assert errors(stage.run(device.telegram())) == [None]
    device.row.archived_at = at(NOON)
    device.row.save()
    stage.audit(device.row)
    assert errors(stage.run(device.telegram())) == ["unknown_adapter"]


def test_a_slot_without_a_key_is_named(stage: Stage) -> None:
    device = stage.device(slot=1)
    stranger = ValuesSealer(InnerKey(bytes(16)), 5, DevEUI.parse(device.row.dev_eui))
    assert errors(stage.run(device.telegram(sealer=stranger))) == ["unknown_key_slot"]
    assert Telegram.objects.get().key_slot == 5


@pytest.mark.parametrize(
    "validity",
    [
        {"not_before": at(NOON + 10)},
        {"not_after": at(NOON - 10)},
        {"state": KeyState.REVOKED},
        {"state": KeyState.GENERATED},
    ],
    ids=["not yet", "no longer", "revoked", "never handed over"],
)
def test_a_key_that_may_not_be_used_is_named(stage: Stage, validity: dict[str, object]) -> None:
    device = stage.device()
    DeviceKey.objects.update(**validity)
    assert errors(stage.run(device.telegram())) == ["no_valid_key"]


def test_what_was_received_in_time_opens_after_its_key_expired(stage: Stage) -> None:
    device = stage.device()
    DeviceKey.objects.update(not_after=at(NOON + 5))
    assert errors(stage.run(device.telegram(), now=NOON + 3600)) == [None]


def test_a_retiring_key_still_opens(stage: Stage) -> None:
    device = stage.device()
    DeviceKey.objects.update(state=KeyState.RETIRING)
    assert errors(stage.run(device.telegram())) == [None]


def test_a_key_that_was_copied_from_another_row_is_named(stage: Stage) -> None:
    device, other = stage.device(), stage.device()
    sealed = DeviceKey.objects.get(adapter=other.row).sealed
    DeviceKey.objects.filter(adapter=device.row).update(sealed=sealed)
    assert errors(stage.run(device.telegram())) == ["key_damaged"]


def test_every_flipped_bit_is_refused(stage: Stage) -> None:
    device = stage.device()
    whole = device.telegram((1, 56_841_020), (2, 3_197_930))
    refused = set()
    for bit in range(len(whole.payload) * 8):
        payload = bytearray(whole.payload)
        payload[bit // 8] ^= 1 << bit % 8
        [arrival] = stage.run(telegram(whole.dev_eui, payload=bytes(payload), counter=whole.counter))
        refused.add(arrival.error)
    assert None not in refused
    assert refused <= {"tag_mismatch", "unknown_key_slot", "format", "unsupported_version", "limit"}
    assert not Reading.objects.exists()
    assert AdapterStatus.objects.get().refused == len(whole.payload) * 8
    assert errors(stage.run(whole)) == [None]


@pytest.mark.parametrize("length", range(8))
def test_a_truncated_telegram_is_refused(stage: Stage, length: int) -> None:
    device = stage.device()
    whole = device.telegram()
    [arrival] = stage.run(telegram(whole.dev_eui, payload=whole.payload[:length], counter=whole.counter))
    assert arrival.error in {"format", "tag_mismatch"}


def test_a_value_that_no_column_holds_is_refused(stage: Stage) -> None:
    assert errors(stage.run(stage.device().telegram((1, 2**64 - 1)))) == ["format"]


def test_an_age_that_nobody_can_mean_is_refused(stage: Stage) -> None:
    assert errors(stage.run(stage.device().telegram((1, 1), (27, 2**63)))) == ["format"]


@pytest.mark.parametrize("text", ["2026-02-31T10:00:00.000Z", "2026-02-01T24:00:00.000Z", "2026-02-01T10:00:60.000Z"])
def test_a_moment_that_does_not_exist_is_refused_and_still_stored(stage: Stage, text: str) -> None:
    assert errors(stage.run(stage.device().telegram(received_at=text))) == ["format"]
    assert Telegram.objects.get().received_at == at(NOON + 1)


def test_one_bad_telegram_does_not_cost_the_others(stage: Stage) -> None:
    device = stage.device()
    good, late = device.telegram(), device.telegram()
    arrivals = stage.run(good, telegram(device.row.dev_eui, payload=b"\x11"), telegram("70b3d57ed1ffffff"), late)
    assert errors(arrivals) == [None, "format", "unknown_adapter", None]
    assert Reading.objects.count() == 4


# Counters.


def test_the_same_bytes_are_a_duplicate_whoever_brings_them(stage: Stage) -> None:
    device = stage.device()
    first = device.telegram()
    again = telegram(first.dev_eui, payload=first.payload, counter=first.counter)
    stage.run(first)
    for repeated in (first, again):
        [arrival] = stage.run(repeated)
        assert arrival.known
        assert arrival.error is None
    [one, two, three] = stage.run(device.telegram(), again, first)
    assert [one.known, two.known, three.known] == [False, True, True]
    assert Telegram.objects.count() == 2
    assert AdapterStatus.objects.get().telegrams == 2


def test_a_batch_that_holds_the_same_telegram_twice_stores_it_once(stage: Stage) -> None:
    first = stage.device().telegram()
    arrivals = stage.run(first, first, telegram(first.dev_eui, payload=first.payload, counter=first.counter))
    assert [arrival.known for arrival in arrivals] == [False, True, True]
    assert Telegram.objects.count() == 1


def test_an_id_is_stored_once_even_with_another_counter(stage: Stage) -> None:
    device = stage.device()
    first = device.telegram()
    second = device.telegram(id=first.id)
    arrivals = stage.run(first, second)
    assert [arrival.known for arrival in arrivals] == [False, True]
    assert Telegram.objects.get().counter == first.counter


def test_the_same_counter_with_other_authentic_bytes_is_a_security_event(stage: Stage) -> None:
    device = stage.device()
    stage.run(device.telegram((1, 5), seal_counter=700))
    [arrival] = stage.run(device.telegram((1, 6), seal_counter=700))
    assert arrival.error == "replay_other_bytes"
    assert Reading.objects.get().value == 5
    event = AdapterEvent.objects.get()
    assert (event.kind, event.reason, event.adapter, event.detail["counter"]) == (
        "security", "replay_other_bytes", device.row, 700,
    )  # fmt: skip
    assert Telegram.objects.filter(error="replay_other_bytes").count() == 1


def test_other_bytes_in_the_same_batch_are_noticed_too(stage: Stage) -> None:
    device = stage.device()
    pair = device.telegram((1, 5), seal_counter=700), device.telegram((1, 6), seal_counter=700)
    assert errors(stage.run(*pair)) == [None, "replay_other_bytes"]
    assert AdapterEvent.objects.count() == 1


def test_an_unseen_lower_counter_is_accepted(stage: Stage) -> None:
    device = stage.device()
    late = device.telegram(seal_counter=500)
    stage.run(device.telegram(seal_counter=501), device.telegram(seal_counter=502))
    assert AdapterStatus.objects.get().missing == 0
    assert errors(stage.run(late)) == [None]
    status = AdapterStatus.objects.get()
    assert (status.first_counter, status.last_counter, status.received, status.missing) == (500, 502, 3, 0)


def test_missing_counters_are_counted_and_filled(stage: Stage) -> None:
    device = stage.device()
    first, lost, last = (device.telegram(seal_counter=number) for number in (10, 11, 14))
    stage.run(first, last)
    assert AdapterStatus.objects.get().missing == 3
    stage.run(lost)
    assert AdapterStatus.objects.get().missing == 2


@pytest.mark.parametrize("hint", [None, 3, 65_536 + 65_534])
def test_the_full_counter_is_found_without_or_against_the_concentrators_word(stage: Stage, hint: int | None) -> None:
    device = stage.device()
    stage.run(device.telegram(seal_counter=65_530))
    [arrival] = stage.run(device.telegram(seal_counter=65_534, counter=hint))
    assert (arrival.error, arrival.counter) == (None, 65_534)
    [over] = stage.run(device.telegram(seal_counter=65_541, counter=None))
    assert over.counter == 65_541
    [lower] = stage.run(device.telegram(seal_counter=65_531, counter=None))
    assert lower.counter == 65_531


def test_the_counter_that_an_adapter_reports_after_its_join_finds_the_full_one(stage: Stage) -> None:
    device = stage.device()
    sealed = [device.telegram(seal_counter=number, counter=None) for number in (70_000, 70_001)]
    assert errors(stage.run(sealed[0])) == ["tag_mismatch"]
    [payload] = config_records.encode(1, [CounterReport(69_999)])
    assert errors(stage.run(telegram(device.row.dev_eui, fport=33, payload=payload), sealed[1])) == [None, None]


def test_the_highest_counter_is_no_special_case(stage: Stage) -> None:
    device = stage.device()
    assert errors(stage.run(device.telegram(seal_counter=2**32 - 1))) == [None]
    assert errors(stage.run(device.telegram(seal_counter=2**32 - 5, counter=None))) == [None]


# Sealed and foreign.


def test_values_under_a_key_that_the_portal_does_not_share_stay_sealed_under_their_registers(stage: Stage) -> None:
    device = stage.device(slot=2)
    DeviceKey.objects.update(partner="grid")
    stage.run(device.telegram((1, 5), (2, 6)))
    assert list(Reading.objects.order_by("register").values_list("register", "value")) == [(1, None), (2, None)]
    kept = Telegram.objects.get()
    assert kept.sealed
    assert kept.error is None


def test_an_adapter_without_any_key_is_stored_sealed(stage: Stage) -> None:
    device = stage.device(keyed=False)
    [arrival] = stage.run(device.telegram((1, 5), counter=None, seal_counter=77))
    assert (arrival.error, arrival.sealed, arrival.counter) == (None, True, 77)
    assert Reading.objects.get().value is None


def test_registers_that_are_sealed_too_make_no_reading(stage: Stage) -> None:
    stage.run(stage.device(keyed=False).telegram((1, 5), mode=Mode.ALL))
    assert not Reading.objects.exists()
    assert Telegram.objects.get().sealed


def test_a_sealed_telegram_that_is_none_is_refused(stage: Stage) -> None:
    assert errors(stage.run(telegram(stage.device(keyed=False).row.dev_eui, payload=b"\x11\0\0\1"))) == ["format"]


def test_a_foreign_device_is_kept_as_it_came_on_any_port(stage: Stage) -> None:
    foreign = stage.device(keyed=False, kind="foreign")
    frames = [telegram(foreign.row.dev_eui, fport=port, payload=b"\x01\x02", epoch=1) for port in (1, 16, 33, 223)]
    assert errors(stage.run(*frames)) == [None] * 4
    assert Telegram.objects.filter(error=None, counter=None, adapter=foreign.row).count() == 4
    assert AdapterStatus.objects.get().telegrams == 4


def test_a_foreign_device_counts_by_join_and_frame_counter(stage: Stage) -> None:
    dev_eui = stage.device(keyed=False, kind="foreign").row.dev_eui
    first = telegram(dev_eui, fport=2, payload=b"a", epoch=1, fcnt=7)
    assert errors(stage.run(first, telegram(dev_eui, fport=2, payload=b"b", epoch=2, fcnt=7))) == [None, None]
    again, changed, late = (
        telegram(dev_eui, fport=2, payload=payload, epoch=1, fcnt=fcnt)
        for payload, fcnt in ((b"a", 7), (b"x", 7), (b"y", 5))
    )
    arrivals = stage.run(again, changed, late)
    assert errors(arrivals) == [None, "replay_other_bytes", None]
    assert [arrival.known for arrival in arrivals] == [True, False, False]


def test_our_own_adapter_on_a_port_that_is_not_ours_is_named(stage: Stage) -> None:
    device = stage.device()
    ports = (1, 17, 34, 99)
    arrivals = stage.run(*(telegram(device.row.dev_eui, fport=port, payload=b"x") for port in ports))
    assert errors(arrivals) == ["foreign_port", None, None, "foreign_port"]


def test_the_registration_report_is_noted(stage: Stage) -> None:
    device = stage.device()
    [payload] = config_records.encode(3, [CounterReport(70_000), FirmwareReport("1.2.3")])
    stage.run(telegram(device.row.dev_eui, fport=33, payload=payload))
    event = AdapterEvent.objects.get()
    assert (event.kind, event.detail["counter"], event.detail["firmware"]) == ("registered", 70_000, "1.2.3")
    assert errors(stage.run(telegram(device.row.dev_eui, fport=33, payload=b"\0"))) == ["format"]


# State.


def test_the_status_shows_the_latest_telegram_and_the_last_diagnosis(stage: Stage) -> None:
    device = stage.device()
    stage.run(
        device.telegram(received_at=timestamp(NOON - 5), dr=3),
        device.telegram(received_at=timestamp(NOON - 900), dr=0),
        telegram(device.row.dev_eui, payload=b"\x11", received_at=timestamp(NOON - 1)),
    )
    status = AdapterStatus.objects.get()
    assert (status.last_seen, status.dr, status.rssi, status.snr) == (at(NOON - 5), 3, -97.0, 7.5)
    assert (status.telegrams, status.refused, status.last_error, status.last_error_at) == (2, 1, "format", at(NOON - 1))
    assert (status.concentrator, status.organisation, status.state) == (stage.concentrator, stage.organisation, "heard")


def test_refusals_alone_do_not_make_an_adapter_heard(stage: Stage) -> None:
    device = stage.device()
    stage.run(telegram(device.row.dev_eui, payload=b"\x11"))
    status = AdapterStatus.objects.get()
    assert (status.last_seen, status.refused, status.rssi, status.concentrator) == (None, 1, None, None)
    stage.run(device.telegram())
    assert AdapterStatus.objects.get().last_seen == at(NOON)


def test_a_late_telegram_does_not_turn_the_status_back(stage: Stage) -> None:
    device = stage.device()
    late = device.telegram(received_at=timestamp(NOON - 3600), dr=0)
    stage.run(device.telegram(dr=5))
    stage.run(late)
    status = AdapterStatus.objects.get()
    assert (status.last_seen, status.dr, status.telegrams) == (at(NOON), 5, 2)


def test_a_silent_adapter_is_heard_again_with_its_next_telegram(stage: Stage) -> None:
    device = stage.device()
    stage.run(device.telegram())
    AdapterStatus.objects.update(state="silent")
    stage.run(device.telegram())
    assert AdapterStatus.objects.get().state == "heard"


def test_the_period_is_learnt_by_counters_so_that_losses_do_not_stretch_it(stage: Stage) -> None:
    device = stage.device()
    for number in (1, 2, 3, 7, 8):
        stage.run(device.telegram(seal_counter=number, received_at=timestamp(NOON + 60 * number)), now=NOON + 600)
    assert AdapterStatus.objects.get().period_s == pytest.approx(60)


def test_the_report_after_a_join_is_no_period(stage: Stage) -> None:
    device = stage.device()
    report = config_records.encode(0, [config_records.CounterReport(5)])[0]
    stage.run(telegram(device.row.dev_eui, fport=33, payload=report, received_at=timestamp(NOON)))
    stage.run(device.telegram(seal_counter=5, received_at=timestamp(NOON + 4)), now=NOON + 5)
    assert AdapterStatus.objects.get().period_s is None
    stage.run(device.telegram(seal_counter=6, received_at=timestamp(NOON + 64)), now=NOON + 65)
    assert AdapterStatus.objects.get().period_s == pytest.approx(60)


def test_reports_of_an_adapter_that_is_being_installed_are_no_period(stage: Stage) -> None:
    device = stage.device()
    report = config_records.encode(0, [config_records.CounterReport(0)])[0]
    for second in (0, 4):
        stage.run(telegram(device.row.dev_eui, fport=33, payload=report, received_at=timestamp(NOON + second)))
    for number, second in enumerate((5, 905, 1805)):
        stage.run(device.telegram(seal_counter=number, received_at=timestamp(NOON + second)), now=NOON + second + 1)
    status = AdapterStatus.objects.get()
    assert status.period_s == pytest.approx(900)
    assert status.due_at == at(NOON + 1805 + 3 * 900)


def test_a_young_adapter_is_soon_known_to_send_more_seldom_than_while_it_was_installed(stage: Stage) -> None:
    device = stage.device()
    for number, second in enumerate((0, 5, 905, 1805)):
        stage.run(device.telegram(seal_counter=number, received_at=timestamp(NOON + second)), now=NOON + second + 1)
    assert AdapterStatus.objects.get().period_s == pytest.approx(900)


# Keys.


def test_the_first_authentic_telegram_makes_a_delivered_key_active(stage: Stage) -> None:
    device = stage.device()
    DeviceKey.objects.update(state=KeyState.DELIVERING)
    stage.run(telegram(device.row.dev_eui, payload=b"\x11\0\0\1\2\3\4\5\6\7\x08\x09"))
    assert DeviceKey.objects.get().state == KeyState.DELIVERING
    stage.run(device.telegram())
    key = DeviceKey.objects.get()
    assert key.state == KeyState.ACTIVE
    assert key.last_used_at is not None
    assert errors(stage.run(device.telegram())) == [None]


def test_a_key_issued_while_the_adapter_is_cached_opens_the_next_batch(stage: Stage) -> None:
    device = stage.device(slot=1)
    stage.run(device.telegram())
    key = InnerKey(b"another key here")
    row = stage.hold(device.row, key, slot=3, version=2, state=KeyState.RETIRING)
    stage.audit(row)
    sealer = ValuesSealer(key, 3, DevEUI.parse(device.row.dev_eui))
    assert errors(stage.run(device.telegram(sealer=sealer))) == [None]
