"""MAC commands on the network's side: what a device runs, what it should run, and the commands that differ.

Requests follow from the difference between current and desired parameters, so that a lost answer, a refusal or a new
join need no special treatment. Pure: time is an argument.
"""

from typing import Final

import msgspec

from concentrator_agent.radio.base import Reception
from meterwire.lorawan.mac_commands import (
    DeviceTimeAns,
    DeviceTimeReq,
    DevStatusAns,
    DevStatusReq,
    DlChannelAns,
    LinkCheckAns,
    LinkCheckReq,
    MacCommand,
    NewChannelAns,
    NewChannelReq,
    RXParamSetupAns,
    RXParamSetupReq,
    RXTimingSetupAns,
    RXTimingSetupReq,
)
from meterwire.lorawan.plan import Region

MAX_SHARED: Final = 64
MAX_REFUSALS: Final = 3  # of one command; then the device keeps what it has


class Parameters(msgspec.Struct, frozen=True):
    """`channels` are the uplink frequencies in Hz by index; delays in seconds."""

    rx_delay_s: int
    rx1_dr_offset: int
    rx2_dr: int
    rx2_frequency: int
    channels: tuple[int, ...]


class MacState(msgspec.Struct):
    """What is known of one session's device. `asked` are the parameters of the last requests.

    `refusals` counts by command id. `battery` and `margin` are those of the last DevStatusAns, asked for at
    `status_at` (Unix s).
    """

    current: Parameters
    asked: Parameters | None = None
    asked_channels: list[int] = []
    refusals: dict[int, int] = {}
    status_at: float = 0.0
    battery: int | None = None
    margin: int | None = None

    def encode(self) -> bytes:
        return _encoder.encode(self)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(MacState)
_shared: dict[Parameters, Parameters] = {}


def decode_state(stored: bytes) -> MacState:
    """Most sessions run the same parameters, so these share one object."""
    state = _decoder.decode(stored)
    if len(_shared) >= MAX_SHARED:
        _shared.clear()
    state.current = _shared.setdefault(state.current, state.current)
    return state


def factory_parameters(plan: Region) -> Parameters:
    """What a device of the region runs before anybody told it otherwise (activation by personalisation)."""
    return Parameters(
        rx_delay_s=plan.receive_delay1_s,
        rx1_dr_offset=0,
        rx2_dr=plan.rx2_dr,
        rx2_frequency=plan.rx2_frequency_hz,
        channels=tuple(channel.frequency_hz for channel in plan.default_channels),
    )


def joined_parameters(plan: Region, desired: Parameters) -> Parameters:
    """What a device runs after a join-accept that carries the desired parameters: all but the RX2 frequency."""
    factory = factory_parameters(plan)
    fixed = len(factory.channels)
    listed = desired.channels[: fixed + 5]  # a CFList holds five
    return Parameters(
        desired.rx_delay_s,
        desired.rx1_dr_offset,
        desired.rx2_dr,
        factory.rx2_frequency,
        factory.channels + listed[fixed:],
    )


def answers(commands: list[MacCommand], copies: list[Reception], plan: Region, gps: float | None) -> list[MacCommand]:
    """What the network answers to the requests in an uplink, of which `copies` are the receptions, best first.

    `gps`: GPS time at the end of the uplink by the radio's stamp, not that of processing; None where none can be told.
    """
    given: list[MacCommand] = []
    best = copies[0]
    for command in commands:
        if isinstance(command, LinkCheckReq):
            factor = plan.data_rate(best.dr).spreading_factor
            floor = plan.required_snr_db.get(factor, 0.0) if factor is not None else 0.0
            gateways = len({copy.gateway for copy in copies})
            given.append(LinkCheckAns(max(0, min(254, round(best.snr - floor))), min(255, gateways)))
        elif isinstance(command, DeviceTimeReq) and gps is not None:
            given.append(DeviceTimeAns.at(gps % (1 << 32)))
    return given


def take_answers(state: MacState, commands: list[MacCommand]) -> bool:
    """Bring `state` up to date with the device's answers; true when a sticky one asks for a downlink.

    Answers that nothing asked for are repetitions and change nothing.
    """
    sticky = False
    asked = state.asked
    for command in commands:
        if isinstance(command, RXParamSetupAns):
            sticky = True
            if asked is not None:
                accepted = command.channel_ack and command.rx2_dr_ack and command.rx1_dr_offset_ack
                changed = msgspec.structs.replace(
                    state.current,
                    rx1_dr_offset=asked.rx1_dr_offset,
                    rx2_dr=asked.rx2_dr,
                    rx2_frequency=asked.rx2_frequency,
                )
                _settle(state, command.cid, changed if accepted else None)
        elif isinstance(command, RXTimingSetupAns):
            sticky = True
            if asked is not None:
                _settle(state, command.cid, msgspec.structs.replace(state.current, rx_delay_s=asked.rx_delay_s))
        elif isinstance(command, NewChannelAns) and state.asked_channels and asked is not None:
            index = state.asked_channels.pop(0)
            accepted = command.frequency_ok and command.data_rates_ok
            _settle(state, command.cid, _with_channel(state.current, index, asked) if accepted else None)
        elif isinstance(command, DlChannelAns):
            sticky = True
        elif isinstance(command, DevStatusAns):
            state.battery, state.margin = command.battery, command.margin
    return sticky


def requests(state: MacState, desired: Parameters, now: float, status_every_s: float) -> list[MacCommand]:
    """The commands that bring the device from its current to the desired parameters, and the status question.

    `status_every_s` 0 asks for no status.
    """
    wanted: list[MacCommand] = []
    current = state.current
    if (current.rx1_dr_offset, current.rx2_dr, current.rx2_frequency) != (
        desired.rx1_dr_offset,
        desired.rx2_dr,
        desired.rx2_frequency,
    ):
        wanted.append(RXParamSetupReq(desired.rx1_dr_offset, desired.rx2_dr, desired.rx2_frequency))
    if current.rx_delay_s != desired.rx_delay_s:
        wanted.append(RXTimingSetupReq(desired.rx_delay_s))
    for index, frequency in enumerate(desired.channels):
        if index >= len(current.channels) or current.channels[index] != frequency:
            wanted.append(NewChannelReq(index, frequency))
    wanted = [command for command in wanted if state.refusals.get(command.cid, 0) < MAX_REFUSALS]
    if status_every_s and now - state.status_at >= status_every_s:
        wanted.append(DevStatusReq())
    return wanted


def note_asked(state: MacState, sent: list[MacCommand], desired: Parameters, now: float) -> None:
    """Remember which requests went out, to know what the answers mean."""
    state.asked = desired
    state.asked_channels = [command.index for command in sent if isinstance(command, NewChannelReq)]
    if any(isinstance(command, DevStatusReq) for command in sent):
        state.status_at = now


def fitting(commands: list[MacCommand], room: int) -> tuple[list[MacCommand], list[MacCommand]]:
    """(those that fit into `room` octets, in order; the rest)."""
    chosen: list[MacCommand] = []
    for position, command in enumerate(commands):
        size = 1 + command.length
        if size > room:
            return chosen, commands[position:]
        room -= size
        chosen.append(command)
    return chosen, []


def _settle(state: MacState, cid: int, changed: Parameters | None) -> None:
    if changed is None:
        state.refusals[cid] = state.refusals.get(cid, 0) + 1
    else:
        state.current = changed
        state.refusals.pop(cid, None)


def _with_channel(current: Parameters, index: int, asked: Parameters) -> Parameters:
    channels = list(current.channels)
    channels.extend([0] * (index + 1 - len(channels)))
    channels[index] = asked.channels[index]
    return msgspec.structs.replace(current, channels=tuple(channels))
