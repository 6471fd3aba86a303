"""What goes into a slot: the frame must fit into its time, and leave when it begins."""

from collections.abc import Awaitable
from functools import lru_cache
from typing import Final

from adapter_agent.radio.base import PayloadTooLong, Planned, SlotMissed, Span
from adapter_agent.radio.due import Due
from adapter_agent.radio.link import Link, LinkChannel
from adapter_agent.radio.phy import PhyError
from adapter_agent.waiting import done_by
from edge.clock import Clock
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.frame import MAX_FOPTS
from meterwire.lorawan.plan import DataRate

DATA_OVERHEAD: Final = 13  # MHDR, FHDR without FOpts, port, MIC
FRAME_OVERHEAD: Final = 5  # MHDR and MIC, around a MAC payload
ANSWER_SIZE: Final = 51  # bytes that an answer carries, at every data rate
SLOW_S: Final = 0.3  # an empty frame with FOpts that takes longer is a slow one: DR0 to DR2
EMPTY_WINDOW_S: Final = 0.3  # until a receiver sees that nothing comes, at the slowest data rate
ROUNDING_S: Final = 1e-6


async def available(radio: Awaitable[None], clock: Clock, planned: Planned) -> None:
    """Wait until the radio can be used. Raises SlotMissed where that is too late for the slot."""
    if not await done_by(radio, clock, planned.at):
        raise SlotMissed("the radio was not ready when the slot began")


def carries(link: Link, channel: int, data_rate: int) -> bool:
    """Whether an uplink may go out on the channel with this index at this data rate."""
    found = link.channels.get(channel)
    return found is not None and found.enabled and found.min_dr <= data_rate <= found.max_dr


def channel_of(link: Link, planned: Planned) -> LinkChannel:
    """The slot's channel. Raises PhyError where the network does not listen there."""
    if not carries(link, planned.channel, planned.data_rate):
        raise PhyError(f"the network has no channel {planned.channel} for DR{planned.data_rate}; the slot is not used")
    return link.channels[planned.channel]


def options_of(due: Due, link: Link, planned: Planned, size: int) -> bytes:
    """As many of the FOpts as the slot has time for beside `size` bytes: all, the answers, or none.

    Raises PayloadTooLong where even the payload alone takes too long.
    """
    answers = due.options(questions=False)
    for options in (answers if planned.quiet else due.options(), answers, b""):
        if len(options) <= MAX_FOPTS and _fits(link, planned, size + len(options)):
            return options
    raise PayloadTooLong(f"{size} bytes at DR{planned.data_rate} do not fit into the slot's {planned.airtime_s:.3f} s")


def airtime(link: Link, size: int) -> float:
    """Seconds on the air of an uplink of `size` bytes without FOpts."""
    return airtime_s(DATA_OVERHEAD + size, link.region.data_rate(link.data_rate))


def room(link: Link, planned: Planned) -> int:
    """The longest payload that the slot carries, in bytes; 0 where there is room for none."""
    return max(0, _most(link.region.data_rate(planned.data_rate), planned.airtime_s))


def span(link: Link, size: int) -> Span:
    """What an uplink of `size` bytes takes with its receive windows, whatever FOpts go along.

    The windows are the session's own: a second one at DR3 is over two seconds before one at DR0.
    """
    region = link.region
    rate = region.data_rate(link.data_rate)
    air = airtime_s(DATA_OVERHEAD + MAX_FOPTS + size, rate)
    rx1 = region.data_rate(region.rx1_dr(link.data_rate, link.rx1_dr_offset))
    rx2 = region.data_rate(link.rx2_dr)
    delay, windows = link.rx_delay_s, link.rx_delay_s + region.rx2_after_rx1_s
    full = DATA_OVERHEAD + ANSWER_SIZE
    answered = max(
        min(delay + airtime_s(full, rx1, uplink=False), windows + airtime_s(full, rx2, uplink=False)),
        windows + airtime_s(DATA_OVERHEAD, rx2, uplink=False),
    )
    whole = max(delay + _longest_downlink_s(rx1), windows + _longest_downlink_s(rx2), windows + EMPTY_WINDOW_S)
    return Span(air + answered, air + whole, windows + EMPTY_WINDOW_S, is_slow(rate))


def is_slow(rate: DataRate) -> bool:
    """Whether even the shortest uplinks at this data rate take long."""
    return airtime_s(DATA_OVERHEAD + MAX_FOPTS, rate) > SLOW_S


def _fits(link: Link, planned: Planned, size: int) -> bool:
    return size <= _most(link.region.data_rate(planned.data_rate), planned.airtime_s)


@lru_cache(maxsize=16)
def _longest_downlink_s(rate: DataRate) -> float:
    return airtime_s(FRAME_OVERHEAD + rate.max_mac_payload, rate, uplink=False)


@lru_cache(maxsize=8)  # it is asked for at every turn, and changes with the slot only
def _most(rate: DataRate, air_s: float) -> int:
    """The longest payload in that time; -1 where even an empty frame takes longer."""
    sizes = range(rate.max_app_payload, -1, -1)
    return next((size for size in sizes if airtime_s(DATA_OVERHEAD + size, rate) <= air_s + ROUNDING_S), -1)
