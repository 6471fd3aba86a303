"""A meter's own name as proof: the sealed hash that travels as register 31, and what it is judged against.

The adapter reports both identities on port 33 [0149], but a concentrator could write that report. The hash is encrypted
and tagged under the inner key, which the concentrator need not hold, so a MATCH rests on the hash alone (design 5.8).
"""

import hashlib
from enum import StrEnum
from typing import Final

from meterwire.config_records.down import MAX_IDENTITY
from meterwire.config_records.up import ReadIdentity
from meterwire.errors import IdentifierError, ValueOutOfRange
from meterwire.ids import DevEUI, MeterId
from meterwire.ids.server import meter_id_of
from meterwire.registers import IDENTITY, MAX_INPUT

REGISTER: Final = IDENTITY
LENGTH: Final = 4

_LABEL = b"mspan meter identity v1"


class Outcome(StrEnum):
    """What comparing a meter's own name with the registered meter gives (design 5.8)."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNREADABLE = "unreadable"


def identity_hash(dev_eui: DevEUI, input: int, octets: bytes) -> int:
    """The value of register 31: the first 4 bytes, big-endian, of SHA-256 over label, DevEUI, input and octets.

    `octets` (1 to 20) is the name exactly as `ReadIdentity` reports it. DevEUI and input are in the hash so that no
    value fits another place. ValueOutOfRange.
    """
    if not 0 <= input <= MAX_INPUT:
        raise ValueOutOfRange(f"inputs run from 0 to {MAX_INPUT}, not {input}")
    if not 1 <= len(octets) <= MAX_IDENTITY:
        raise ValueOutOfRange(f"a meter's name has 1 to {MAX_IDENTITY} bytes, not {len(octets)}")
    digest = hashlib.sha256(_LABEL + dev_eui.bytes + bytes((input,)) + octets).digest()
    return int.from_bytes(digest[:LENGTH], "big")


def expected(meter_id: MeterId, server_id: bytes = b"") -> tuple[bytes, ...]:
    """Every name that this meter may give: the known server id first, then the 0A and 09 form, the OMS forms 01
    (wireless) and 02 (wired) where its sector has a device type, and the identifier as text.
    """
    own = meter_id.server_id()
    names = [server_id] if server_id else []
    names += [own, b"\x09" + own[1:]]
    try:
        names += [meter_id.lmn_server_id(), meter_id.lmn_server_id(wired=True)]
    except IdentifierError:
        pass  # a gateway or switch has no OMS form
    names.append(str(meter_id).encode("ascii"))
    return tuple(dict.fromkeys(names))


def judge(report: ReadIdentity, meter_id: MeterId, server_id: bytes = b"") -> Outcome:
    """What a report on port 33 says. Early and forgeable: good for a warning, never for a proof."""
    if not report.octets:
        return Outcome.UNREADABLE
    return Outcome.MATCH if report.octets in expected(meter_id, server_id) else Outcome.MISMATCH


def judge_hash(value: int, dev_eui: DevEUI, input: int, meter_id: MeterId, server_id: bytes = b"") -> Outcome:
    """What a sealed hash proves: MATCH, else MISMATCH. Another name fits by chance once in 2**32."""
    names = expected(meter_id, server_id)
    return Outcome.MATCH if value in {identity_hash(dev_eui, input, name) for name in names} else Outcome.MISMATCH


def name_of(value: int, dev_eui: DevEUI, input: int, names: tuple[bytes, ...]) -> bytes | None:
    """The one of `names` (1 to 20 bytes each) that a sealed hash stands for; None when it is another."""
    return next((name for name in names if identity_hash(dev_eui, input, name) == value), None)


def meter_of(octets: bytes) -> MeterId | None:
    """The meter that a name stands for: forms 0A, 09, 01, 02 and text; None for any other name."""
    found = meter_id_of(octets)
    if found is not None:
        return found
    try:
        if len(octets) == 9 and octets[0] in (1, 2):
            return MeterId.from_oms(octets[1:3], octets[3:])
        return MeterId.parse(octets.decode("ascii"))
    except (IdentifierError, UnicodeDecodeError):
        return None


def shown(octets: bytes) -> str:
    """A name for people: the identifier as printed on the meter, else the text itself, else hex."""
    meter = meter_of(octets)
    if meter is not None:
        return meter.display
    text = octets.decode("latin-1")
    return text if text.isascii() and text.isprintable() else octets.hex().upper()
