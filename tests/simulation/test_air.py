"""The air end to end inside one process: uplinks to gateways, downlinks into windows, and an honest account."""

import asyncio
import contextlib
import math
from collections.abc import Sequence

import pytest

from adapter_agent.radio.phy import Exchange, PhyError, Window
from adapter_agent.simulation.air import EARLY_SYMBOLS, LATE_SYMBOLS, Air
from adapter_agent.simulation.gateway import Downlink, GatewayRadio, Reception
from adapter_agent.simulation.noise import uniform
from adapter_agent.simulation.physics import NO_CAPTURE
from adapter_agent.simulation.reception import Fate
from edge.clock import ManualClock, ScaledClock
from meterwire.ids import DevEUI
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.region import EU868
from tests.simulation.driving import passing

GATEWAY, OTHER = "aa555a0000000101", "aa555a0000000102"
ADAPTER, NEIGHBOUR = "70b3d57ed0061000", "70b3d57ed0061001"
FRAME = bytes(range(29))
CHANNEL, RX2 = 868_100_000, 869_525_000
WINDOWS = (Window(1.0, CHANNEL, 5), Window(2.0, RX2, 0))


class Place:
    """One gateway (or two) and adapters at a stated loss, without fading."""

    def __init__(self, clock: ManualClock | None = None, gateways: Sequence[str] = (GATEWAY,)) -> None:
        self.clock = clock or ManualClock()
        self.air = Air(self.clock, fading_db=0, shadow_db=0, default_loss_db=100.0)
        self.radios = {eui: self.air.add(GatewayRadio(eui, self.clock)) for eui in gateways}
        self.radio = self.radios[gateways[0]]
        self.heard: dict[str, list[Reception]] = {eui: [] for eui in gateways}
        for eui, radio in self.radios.items():
            radio.listen(self.heard[eui].append)

    async def exchange(
        self, adapter: str = ADAPTER, *, frequency: int = CHANNEL, dr: int = 5, windows: Sequence[Window] = WINDOWS
    ) -> Exchange:
        return await self.air.phy(adapter).exchange(FRAME, freq_hz=frequency, dr=dr, power_dbm=14, windows=windows)

    def answer(
        self,
        after: float,
        *,
        frame: bytes = b"down",
        frequency: int = CHANNEL,
        dr: int = 5,
        power: float = 14.0,
        inverted: bool = True,
        gateway: str = GATEWAY,
    ) -> None:
        """Make the gateway answer each reception `after` seconds later, as a server would."""

        def send(reception: Reception) -> None:
            if not reception.intact:
                return
            radio = self.radios[gateway]
            start = radio.instant(reception.tmst + round(after * 1e6))
            length = airtime_s(len(frame), dr, uplink=False)
            radio.send(Downlink(gateway, frame, frequency, EU868.data_rate(dr), power, start, start + length, inverted))

        self.radios[gateway].listen(send)


async def test_a_frame_reaches_the_gateway_with_its_figures() -> None:
    place = Place()
    exchange = await passing(place.clock, place.exchange())
    (reception,) = place.heard[GATEWAY]
    assert reception.frame == FRAME
    assert (reception.frequency_hz, reception.data_rate.datr, reception.channel) == (CHANNEL, "SF7BW125", 0)
    assert (reception.rssi, reception.snr) == (-86.0, 13.0)
    assert exchange.end - exchange.start == pytest.approx(airtime_s(29, 5), abs=1e-6)
    assert reception.unix == pytest.approx(exchange.end)
    assert exchange.heard is None
    assert (place.air.account.uplinks, place.air.account.delivered) == (1, 1)
    assert place.air.account.fates == {Fate.RECEIVED: 1}


async def test_an_exchange_ends_when_the_last_window_has_closed() -> None:
    place = Place()
    await passing(place.clock, place.exchange(), step=0.001)
    closed = airtime_s(29, 5) + 2.0 + LATE_SYMBOLS * 0.032768
    assert place.clock.monotonic() == pytest.approx(closed, abs=0.002)


@pytest.mark.parametrize(("after", "frequency", "dr", "window"), [(1.0, CHANNEL, 5, 1), (2.0, RX2, 0, 2)])
async def test_a_downlink_is_heard_in_either_window(after: float, frequency: int, dr: int, window: int) -> None:
    place = Place()
    place.answer(after, frequency=frequency, dr=dr)
    exchange = await passing(place.clock, place.exchange())
    assert exchange.heard is not None
    assert (exchange.heard.frame, exchange.heard.window) == (b"down", window)
    assert exchange.heard.rssi == pytest.approx(-86.0, abs=0.1)
    assert place.air.account.heard == place.air.account.downlinks == 1


@pytest.mark.parametrize(
    ("symbols", "heard"),
    [
        (0.0, True),
        (-EARLY_SYMBOLS + 0.1, True),
        (-EARLY_SYMBOLS - 0.1, False),
        (LATE_SYMBOLS - 0.1, True),
        (LATE_SYMBOLS + 0.1, False),
        (-900.0, False),
    ],
)
async def test_a_downlink_must_begin_within_a_few_symbols_of_the_window(symbols: float, heard: bool) -> None:
    place = Place()
    place.answer(1.0 + symbols * 0.001024)
    exchange = await passing(place.clock, place.exchange())
    assert (exchange.heard is not None) is heard


@pytest.mark.parametrize(
    "wrong",
    [
        {"frequency": 868_300_000},
        {"dr": 4},
        {"inverted": False},
        {"power": -60.0},  # below the adapter's sensitivity
    ],
)
async def test_a_downlink_that_does_not_fit_the_window_is_not_heard(wrong: dict[str, float]) -> None:
    place = Place()
    place.answer(1.0, **wrong)
    exchange = await passing(place.clock, place.exchange())
    assert exchange.heard is None
    assert place.air.account.downlinks_weak == ("power" in wrong)


async def test_a_spoilt_first_window_leaves_the_second_one() -> None:
    place = Place(gateways=(GATEWAY, OTHER))
    place.answer(1.0, gateway=GATEWAY)
    place.answer(1.0, gateway=OTHER)
    exchange = asyncio.ensure_future(place.exchange())
    await place.clock.advance(0.1)
    start = place.clock.monotonic() - 0.1 + airtime_s(29, 5) + 2.0
    place.radio.send(Downlink(GATEWAY, b"second", RX2, EU868.data_rate(0), 14.0, start, start + 1.0))
    result = await passing(place.clock, exchange_of(exchange))
    assert place.air.account.downlinks_collided == 1
    assert result.heard is not None
    assert (result.heard.frame, result.heard.window) == (b"second", 2)


async def exchange_of(task: "asyncio.Future[Exchange]") -> Exchange:
    return await task


async def test_a_neighbour_with_the_same_window_hears_the_frame_too() -> None:
    place = Place()
    place.air.place(NEIGHBOUR, {GATEWAY: 110.0})  # the nearer one is captured
    place.answer(1.0)
    near, far = asyncio.ensure_future(place.exchange()), asyncio.ensure_future(place.exchange(NEIGHBOUR))
    await place.clock.advance(5.0)
    assert [exchange.result().heard.frame for exchange in (near, far)] == [b"down"] * 2
    assert place.air.account.fates == {Fate.RECEIVED: 1, Fate.COLLIDED: 1}
    assert place.air.account.delivered == 1


async def test_equal_neighbours_destroy_each_other() -> None:
    place = Place()
    both = [asyncio.ensure_future(place.exchange(adapter)) for adapter in (ADAPTER, NEIGHBOUR)]
    await place.clock.advance(5.0)
    await asyncio.gather(*both)
    assert place.air.account.fates == {Fate.COLLIDED: 2}
    assert all(not reception.intact for reception in place.heard[GATEWAY])


async def test_a_sending_gateway_is_deaf_and_the_other_one_hears() -> None:
    place = Place(gateways=(GATEWAY, OTHER))
    place.radio.send(Downlink(GATEWAY, b"x", RX2, EU868.data_rate(0), 27.0, 0.02, 1.0))
    await passing(place.clock, place.exchange())
    assert place.air.account.fates == {Fate.DEAF: 1, Fate.RECEIVED: 1}
    assert not place.heard[GATEWAY]
    assert len(place.heard[OTHER]) == 1
    assert place.air.account.delivered == 1


async def test_path_loss_is_kept_per_adapter_and_gateway() -> None:
    place = Place(gateways=(GATEWAY, OTHER))
    place.air.place(DevEUI.parse(ADAPTER), {GATEWAY: 90.0, OTHER: 160.0})
    await passing(place.clock, place.exchange())
    assert place.heard[GATEWAY][0].rssi == -76.0
    assert place.air.account.fates == {Fate.RECEIVED: 1, Fate.BELOW_SENSITIVITY: 1}


async def test_fading_is_small_and_repeats_itself() -> None:
    async def figures(seed: int) -> list[float]:
        clock = ManualClock()
        air = Air(clock, seed=seed, default_loss_db=100.0)
        heard: list[Reception] = []
        air.add(GatewayRadio(GATEWAY, clock)).listen(heard.append)
        for _ in range(30):
            await passing(
                clock,
                air.phy(ADAPTER).exchange(FRAME, freq_hz=CHANNEL, dr=5, power_dbm=14, windows=()),
            )
        return [reception.rssi for reception in heard]

    first = await figures(1)
    assert first == await figures(1) != await figures(2)
    assert len(set(first)) > 10
    assert max(first) - min(first) < 15


async def test_an_adapter_has_one_radio() -> None:
    place = Place()
    first = asyncio.ensure_future(place.exchange())
    await place.clock.advance(0.01)
    with pytest.raises(PhyError, match="still sending or listening"):
        await place.exchange()
    await place.clock.advance(5.0)
    assert first.result().heard is None
    assert (await passing(place.clock, place.exchange())).heard is None


@pytest.mark.parametrize(
    ("frame", "frequency", "dr"),
    [(b"", CHANNEL, 5), (bytes(256), CHANNEL, 5), (FRAME, 868_650_000, 5), (FRAME, CHANNEL, 9), (FRAME, CHANNEL, 7)],
)
async def test_what_no_radio_would_send_is_refused(frame: bytes, frequency: int, dr: int) -> None:
    place = Place()
    with pytest.raises(PhyError):
        await place.air.phy(ADAPTER).exchange(frame, freq_hz=frequency, dr=dr, power_dbm=14, windows=())
    assert (await passing(place.clock, place.exchange(windows=()))).heard is None


async def test_a_frame_stays_on_the_air_when_its_sender_dies() -> None:
    place = Place()
    sender = asyncio.ensure_future(place.exchange())
    await place.clock.advance(0.01)
    sender.cancel()
    await place.clock.advance(1.0)
    with contextlib.suppress(asyncio.CancelledError):
        await sender
    assert len(place.heard[GATEWAY]) == 1
    assert (await passing(place.clock, place.exchange())).heard is None


async def test_a_wall_clock_that_jumps_does_not_move_the_windows() -> None:
    place = Place()
    place.answer(1.0)
    exchange = asyncio.ensure_future(place.exchange())
    await place.clock.advance(0.5)
    place.clock.jump(-7200.0)
    await place.clock.advance(3.0)
    assert exchange.result().heard is not None


async def test_a_scaled_clock_gives_the_same_windows() -> None:
    clock = ScaledClock(20.0)
    air = Air(clock, fading_db=0, shadow_db=0)
    radio = air.add(GatewayRadio(GATEWAY, clock))

    def send(reception: Reception) -> None:
        start = radio.instant(reception.tmst + 1_000_000)
        radio.send(Downlink(GATEWAY, b"down", CHANNEL, EU868.data_rate(5), 14.0, start, start + 0.03))

    radio.listen(send)
    exchange = await air.phy(ADAPTER).exchange(FRAME, freq_hz=CHANNEL, dr=5, power_dbm=14, windows=WINDOWS)
    assert exchange.heard is not None
    assert exchange.heard.window == 1


async def test_many_adapters_without_slots_lose_what_aloha_says() -> None:
    """A crowd with equal powers on one channel and no capture: the formula holds for the whole air."""
    clock = ManualClock()
    air = Air(clock, fading_db=0, shadow_db=0, default_loss_db=100.0)
    air.add(GatewayRadio(GATEWAY, clock, rejection=NO_CAPTURE))
    frames, load = 1500, 0.15
    span = frames * airtime_s(29, 5) / load

    async def speak(number: int) -> None:
        await clock.sleep(span * uniform(9, "crowd", number))
        await air.transmit(f"{number:016x}", FRAME, freq_hz=CHANNEL, dr=5, power_dbm=14)

    crowd = [asyncio.ensure_future(speak(number)) for number in range(frames)]
    await clock.advance(span + 1, settle=8)
    await asyncio.gather(*crowd)
    lost = 1 - air.account.delivered / air.account.uplinks
    assert air.account.uplinks == frames
    assert lost == pytest.approx(1 - math.exp(-2 * load), abs=0.03)


def beacon(place: Place, start: float, *, dr: int = 3, frame: bytes = b"beacon") -> None:
    """The gateway sends to everybody at an instant of the air's clock."""
    length = airtime_s(len(frame), dr, uplink=False)
    place.radio.send(Downlink(GATEWAY, frame, RX2, EU868.data_rate(dr), 27.0, start, start + length))


async def test_an_adapter_that_listens_hears_a_frame_that_answers_nothing() -> None:
    place = Place()
    beacon(place, 1.25)
    heard = await passing(place.clock, place.air.listen(ADAPTER, freq_hz=RX2, dr=3, seconds=2.0))
    assert heard is not None
    assert (heard.frame, heard.after_s) == (b"beacon", pytest.approx(1.25))
    assert heard.rssi == pytest.approx(27 - 100, abs=0.1)


@pytest.mark.parametrize(("start", "dr"), [(-0.01, 3), (2.01, 3), (1.0, 4)])
async def test_a_frame_beside_the_window_or_at_another_data_rate_is_not_heard(start: float, dr: int) -> None:
    place = Place()
    beacon(place, start, dr=dr)
    assert await passing(place.clock, place.air.listen(ADAPTER, freq_hz=RX2, dr=3, seconds=2.0)) is None


async def test_a_radio_that_is_sending_cannot_listen() -> None:
    place = Place()
    sending = asyncio.ensure_future(place.exchange())
    await place.clock.advance(0.01)
    with pytest.raises(PhyError, match="still sending"):
        await place.air.listen(ADAPTER, freq_hz=RX2, dr=3, seconds=1.0)
    await passing(place.clock, sending)


async def test_every_listening_has_a_fading_of_its_own() -> None:
    place = Place()
    place.air = Air(place.clock, fading_db=3, shadow_db=0, default_loss_db=100.0)
    place.air.add(place.radio)
    levels = []
    for _ in range(3):
        beacon(place, place.clock.monotonic() + 0.5)
        heard = await passing(place.clock, place.air.phy(ADAPTER).listen(freq_hz=RX2, dr=3, seconds=1.0))
        assert heard is not None
        levels.append(heard.rssi)
    assert len(set(levels)) == 3
