"""The beacon keeps an adapter in its slot without any answer; a forged, damaged or foreign one does nothing."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from adapter_agent.beacon import GIVE_UP_AFTER
from adapter_agent.radio.phy import PhyError
from adapter_agent.simulation.crystal import Crystal, CrystalClock
from meterwire import clock_package
from meterwire.clock_package import ClockQuality
from meterwire.config_records import OpenTimeRecord, SlotRecord, SlotState
from meterwire.lorawan.gpstime import gps_seconds
from tests.adapter_agent.beacons import RECORD, BeaconNetwork, named
from tests.adapter_agent.house import House
from tests.adapter_agent.test_slots import configuration, in_slot, slot, values, window

OPEN = OpenTimeRecord(300, 292_500, 7_500)
GIVEN = slot(period_s=300, phase_ms=30_000)
SETTLED_S = 1230.0  # in the middle between two beacons


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path, more="[commissioning]\nminutes = 0")
    house.network = BeaconNetwork(house.clock)
    house.network.after_report = configuration(3, SlotRecord(GIVEN), RECORD, OPEN)
    yield house
    house.close()


@asynccontextmanager
async def settled(house, rate=20e-6, seconds=SETTLED_S):
    true = house.clock
    house.clock = CrystalClock(true, Crystal(rate))
    async with house.running() as app:
        house.clock = true
        await house.pass_time(seconds, every_s=10)
        yield app


async def test_hours_of_beacons_alone_keep_every_telegram_in_its_slot(house):
    async with settled(house) as app:
        before, answers = len(values(house)), app._parts.time.answers
        await house.pass_time(6 * 3600, every_s=20)
        assert app._parts.slot.state is SlotState.IN_SLOT
        assert app._parts.beacon.heard > 360
        assert app._parts.time.answers == answers, "no answer was needed"
        assert not app._parts.sender.keeper.missed
    late = [heard for heard in values(house)[before:] if heard in in_slot(house, GIVEN)]
    assert len(late) >= 71
    assert max(abs(window(heard, GIVEN).offset_s) for heard in late) < 0.005
    assert not [heard for heard in house.network.uplinks if heard.uplink.fport == clock_package.PORT]


async def test_its_windows_are_short_once_the_clock_is_right(house):
    async with settled(house):
        await house.pass_time(3600, every_s=10)
    lengths = [seconds for _, seconds in house.network.windows[-50:]]
    assert max(lengths) < 0.050
    assert len({round(begin / 60) for begin, _ in house.network.windows}) == len(house.network.windows), "one a period"


@pytest.mark.parametrize(
    ("reason", "altered"),
    [
        ("damaged", lambda beacon: bytes([*beacon.encode()[:-1], beacon.encode()[-1] ^ 1])),
        ("foreign", lambda beacon: beacon.encode() + b"\0"),
        ("no_quality", lambda beacon: replace(beacon, quality=ClockQuality.NONE)),
        ("other", named(b"evil")),
        ("replayed", lambda beacon: replace(beacon, gps_ms=beacon.gps_ms - 600_000)),
        ("contradicts", lambda beacon: replace(beacon, gps_ms=beacon.gps_ms + 500)),
        ("contradicts", lambda beacon: replace(beacon, gps_ms=beacon.gps_ms + 3_600_000)),
        ("silence", lambda beacon: None),
    ],
)
async def test_what_is_no_beacon_of_its_concentrator_is_counted_and_moves_no_clock(house, reason, altered):
    async with settled(house) as app:
        assert app._parts.beacon.heard > 5
        heard, clock = app._parts.beacon.heard, app._parts.time.discipline
        later = app._clock.monotonic() + 1000.0
        house.network.altered = altered
        before = clock.unix(later)
        await house.pass_time(240, every_s=10)
        assert clock.unix(later) == before
        assert app._parts.beacon.heard == heard
        assert app._parts.beacon.ignored[reason] == 4
        house.network.altered = lambda beacon: beacon
        await house.pass_time(120, every_s=10)
        assert app._parts.beacon.heard >= heard + 1, "and the next good one counts again"


async def test_a_beacon_gives_no_time_to_an_adapter_that_nobody_has_told_it(house, monkeypatch):
    async with settled(house):
        pass
    monkeypatch.setattr("adapter_agent.timekeeping.boot_id", lambda: "another start")
    house.network.mute = True
    async with house.running() as app:
        await house.pass_time(900, every_s=10)
        assert app._parts.time.unix() is None
        assert app._parts.beacon.heard == 0
        assert app._parts.slot.state is SlotState.NO_TRUST


async def test_when_beacons_stay_away_the_window_widens_then_it_gives_up_until_the_next_answer(house):
    async with settled(house) as app:
        house.network.lost, house.network.mute = True, True
        opened = len(house.network.windows)
        await house.pass_time(60 * (GIVE_UP_AFTER + 6), every_s=10)
        lengths = [seconds for _, seconds in house.network.windows[opened:]]
        assert len(lengths) == GIVE_UP_AFTER
        assert lengths[-1] > 3 * lengths[0]
        house.network.lost = house.network.mute = False
        heard = app._parts.beacon.heard
        await house.pass_time(180, every_s=10)
        assert app._parts.beacon.heard == heard
        unix = app._parts.time.unix()
        app._parts.time.told(house.clock.time(), app._clock.monotonic())
        assert abs(unix - house.clock.time()) < 0.05
        await house.pass_time(300, every_s=10)
        assert app._parts.beacon.heard > heard


async def test_beacons_for_which_the_radio_was_busy_are_no_reason_to_stop_listening(house, monkeypatch):
    async with settled(house) as app:
        house.network.mute = True

        async def busy(**_):
            raise PhyError("the radio is in use")

        with monkeypatch.context() as patch:
            patch.setattr(house.network, "listen", busy)
            await house.pass_time(60 * (GIVE_UP_AFTER + 3), every_s=10)
        assert app._parts.beacon.ignored == {"busy": GIVE_UP_AFTER + 3}
        heard = app._parts.beacon.heard
        await house.pass_time(180, every_s=10)
        assert app._parts.beacon.heard == heard + 3


async def test_beacons_after_an_answer_that_has_set_the_clock_back_are_no_replays(house):
    async with settled(house) as app:
        house.network.mute, clock, time = True, house.clock, app._parts.time
        house.network.altered = lambda beacon: replace(beacon, gps_ms=beacon.gps_ms - 3_600_000)
        for _ in range(2):  # a network whose own clock was an hour ahead is believed the second time
            time.told(clock.time() - 3600, app._clock.monotonic())
            await house.pass_time(31, every_s=1)
        heard = app._parts.beacon.heard
        await house.pass_time(240, every_s=10)
        assert app._parts.beacon.heard >= heard + 3
        assert not app._parts.beacon.ignored["replayed"]


async def test_a_radio_that_listens_after_its_own_uplinks_only_says_so_once(tmp_path, caplog):
    house = House(tmp_path, more="[commissioning]\nminutes = 0")
    house.network.after_report = configuration(3, SlotRecord(GIVEN), RECORD, OPEN)
    async with house.running() as app:
        await house.pass_time(900, every_s=10)
        assert app._parts.slot.state is SlotState.IN_SLOT
        assert app._parts.beacon.heard == app._parts.beacon.ignored.total() == 0
    house.close()
    assert len([record for record in caplog.records if "cannot listen to the beacon" in record.message]) == 1


async def test_its_own_slot_comes_before_the_beacon(house):
    given = slot(period_s=60, phase_ms=59_900)  # an old one, over the beacon
    house.network.after_report = configuration(3, SlotRecord(given), RECORD)
    async with settled(house, 0.0) as app:
        assert not app._parts.sender.keeper.missed
        assert app._parts.beacon.ignored["slot"] > 10
        assert len(in_slot(house, given)) >= 15


async def test_the_beacon_counts_gps_time_so_that_leap_seconds_move_nothing(house):
    assert round(gps_seconds(1_767_225_600.0)) == 1_767_225_600 - 315_964_800 + 18
    async with settled(house) as app:
        assert abs(app._parts.time.unix() - house.clock.time()) < 0.01


async def test_a_beacon_that_contradicts_the_clock_makes_it_ask_for_an_answer(house):
    async with settled(house):
        before = len(house.network.uplinks)
        house.network.altered = lambda beacon: replace(beacon, gps_ms=beacon.gps_ms + 500)
        await house.pass_time(1500, every_s=10)
    asked = [heard for heard in house.network.uplinks[before:] if heard.uplink.fport == clock_package.PORT]
    assert 1 <= len(asked) <= 4
