"""MAC commands of a LoRaWAN 1.0.4 class A device, both ways (TS001-1.0.4 section 5).

One class per command and direction, named as the specification does; `parse_commands` and `encode_commands` handle the
stream in FOpts or on port 0. Reserved bits are ignored when read and zero when written.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from meterwire.lorawan.mac_commands.base import MacCommand, MacCommandError
from meterwire.lorawan.mac_commands.channels import (
    DlChannelAns,
    DlChannelReq,
    NewChannelAns,
    NewChannelReq,
    RXParamSetupAns,
    RXParamSetupReq,
    RXTimingSetupAns,
    RXTimingSetupReq,
    TXParamSetupAns,
    TXParamSetupReq,
)
from meterwire.lorawan.mac_commands.clock import (
    DeviceTimeAns,
    DeviceTimeReq,
)
from meterwire.lorawan.mac_commands.link import (
    DevStatusAns,
    DevStatusReq,
    DutyCycleAns,
    DutyCycleReq,
    LinkADRAns,
    LinkADRReq,
    LinkCheckAns,
    LinkCheckReq,
)

__all__ = [
    "COMMANDS",
    "MAX_STREAM",
    "MacCommand",
    "MacCommandError",
    "LinkCheckReq",
    "LinkCheckAns",
    "LinkADRReq",
    "LinkADRAns",
    "DutyCycleReq",
    "DutyCycleAns",
    "DevStatusReq",
    "DevStatusAns",
    "RXParamSetupReq",
    "RXParamSetupAns",
    "NewChannelReq",
    "NewChannelAns",
    "RXTimingSetupReq",
    "RXTimingSetupAns",
    "TXParamSetupReq",
    "TXParamSetupAns",
    "DlChannelReq",
    "DlChannelAns",
    "DeviceTimeReq",
    "DeviceTimeAns",
    "encode_commands",
    "parse_commands",
]

MAX_STREAM: Final = 242  # the largest port 0 payload of any data rate

COMMANDS: Final[Mapping[tuple[bool, int], type[MacCommand]]] = MappingProxyType(
    {
        (command.uplink, command.cid): command
        for command in (
            LinkCheckReq,
            LinkCheckAns,
            LinkADRReq,
            LinkADRAns,
            DutyCycleReq,
            DutyCycleAns,
            RXParamSetupReq,
            RXParamSetupAns,
            DevStatusReq,
            DevStatusAns,
            NewChannelReq,
            NewChannelAns,
            RXTimingSetupReq,
            RXTimingSetupAns,
            TXParamSetupReq,
            TXParamSetupAns,
            DlChannelReq,
            DlChannelAns,
            DeviceTimeReq,
            DeviceTimeAns,
        )
    }
)


def parse_commands(stream: bytes, uplink: bool) -> tuple[list[MacCommand], bytes]:
    """The commands in a stream that travels `uplink` or down, and what could not be read.

    The stream is cut at the first unknown or truncated command, because nothing tells where the next one begins
    (TS001 5); the rest, that command's CID first, is handed back, empty when all was understood.
    Raises MacCommandError for more than MAX_STREAM octets.
    """
    if len(stream) > MAX_STREAM:
        raise MacCommandError(f"a MAC command stream has at most {MAX_STREAM} octets, not {len(stream)}")
    commands: list[MacCommand] = []
    at = 0
    while at < len(stream):
        command = COMMANDS.get((uplink, stream[at]))
        if command is None or at + 1 + command.length > len(stream):
            break
        commands.append(command.from_payload(stream[at + 1 : at + 1 + command.length]))
        at += 1 + command.length
    return commands, bytes(stream[at:])


def encode_commands(commands: Iterable[MacCommand]) -> bytes:
    """The stream for FOpts (at most 15 octets) or port 0. Raises MacCommandError."""
    stream = b"".join([command.encode() for command in commands])
    if len(stream) > MAX_STREAM:
        raise MacCommandError(f"a MAC command stream has at most {MAX_STREAM} octets, not {len(stream)}")
    return stream
