"""Adapter labels (LoRa Alliance TR005): identity and claim token in a QR code's text, never a key."""

import base64
import re
from dataclasses import dataclass, field

from meterwire.errors import IdentifierError, LabelError, ValueOutOfRange
from meterwire.ids import DevEUI, JoinEUI

MAX_LABEL = 256
TOKEN_ENTROPY = 16  # bytes

_FIXED = re.compile(r"LW:D0:(?P<join>[^:]*):(?P<device>[^:]*):(?P<profile>[^:]*)(?P<rest>(?::[^:]*)*)")
_OPTIONAL = "OSPC"
_PROFILE = re.compile("[0-9A-Fa-f]{8}")
_TEXT = re.compile(r"[\x20-\x39\x3b-\x7e]+")
_CHECKSUM = re.compile("[0-9A-Fa-f]{4}")
_TOKEN = re.compile("[A-Z2-7]{25}[AEIMQUY4]")  # 130 bits hold 128: the last two are zero
_NAMES = {"O": "owner token", "S": "serial number", "P": "proprietary part"}


@dataclass(frozen=True, slots=True)
class Label:
    """What a label says. `profile_id` is 8 upper-case hex digits (vendor 4, profile 4); the last three are texts of
    printable ASCII without a colon, None where the label has none. The owner token proves a claim, and some suppliers
    hide a key in the proprietary part: both stay out of `repr`.
    """

    join_eui: JoinEUI
    dev_eui: DevEUI
    profile_id: str
    owner_token: str | None = field(default=None, repr=False)
    serial: str | None = None
    proprietary: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not _PROFILE.fullmatch(self.profile_id) or self.profile_id != self.profile_id.upper():
            raise LabelError("the profile id of a label is 8 upper-case hex digits")
        for letter, text in (("O", self.owner_token), ("S", self.serial), ("P", self.proprietary)):
            if text is not None and not _TEXT.fullmatch(text):
                raise LabelError(
                    f"the {_NAMES[letter]} of a label is empty or has other characters than ASCII without ':'"
                )
        if len(self.format()) > MAX_LABEL:
            raise LabelError(f"the label is longer than {MAX_LABEL} characters: shorten its texts")

    def format(self, checksum: bool = True) -> str:
        """The QR code's text, by default with its checksum."""
        text = f"LW:D0:{self.join_eui.label}:{self.dev_eui.label}:{self.profile_id}"
        for letter, value in (("O", self.owner_token), ("S", self.serial), ("P", self.proprietary)):
            text += "" if value is None else f":{letter}{value}"
        return f"{text}:C{crc16_modbus(text.encode()):04X}" if checksum else text


def parse(text: str) -> Label:
    """Read a scanned text. LabelError names what is wrong with it; the checksum is compared where there is one."""
    if len(text) > MAX_LABEL:
        raise LabelError(f"a text of {len(text)} characters is no adapter label; at most {MAX_LABEL} are read")
    match = _FIXED.fullmatch(text.strip())
    if match is None:
        raise LabelError(
            "this is no adapter label: one reads LW:D0:<JoinEUI>:<DevEUI>:<profile>, then optional :O :S :P :C fields"
        )
    try:
        join_eui, dev_eui = JoinEUI.parse(match["join"]), DevEUI.parse(match["device"])
    except IdentifierError as error:
        raise LabelError(f"{error}: scan the label again") from None
    if not _PROFILE.fullmatch(match["profile"]):
        raise LabelError("the profile id of the label is no 8 hex digits: scan the label again")
    fields = _optional(match["rest"])
    _compare(text.strip(), fields.get("C"))
    return Label(join_eui, dev_eui, match["profile"].upper(), fields.get("O"), fields.get("S"), fields.get("P"))


def owner_token(entropy: bytes) -> str:
    """The claim token for 16 random bytes: 26 characters of RFC 4648 base32, without padding. ValueOutOfRange."""
    if len(entropy) != TOKEN_ENTROPY:
        raise ValueOutOfRange(f"an owner token is made of {TOKEN_ENTROPY} random bytes, not {len(entropy)}")
    return base64.b32encode(entropy).decode("ascii").rstrip("=")


def is_owner_token(text: str) -> bool:
    """Whether the text has the form of our own tokens. Suppliers print others."""
    return _TOKEN.fullmatch(text) is not None


def crc16_modbus(octets: bytes) -> int:
    """CRC-16, polynomial 0x8005 reflected, initial value 0xFFFF, no final exclusive-or."""
    crc = 0xFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _optional(rest: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    expected = iter(_OPTIONAL)
    for part in rest.split(":")[1:]:
        letter, value = part[:1], part[1:]
        if letter not in expected:  # `in` runs the iterator forward, so a field out of order is not found
            raise LabelError(
                f"unexpected field '{letter}' in the label: O, S, P and C may follow, each once, in this order"
            )
        fields[letter] = value
    return fields


def _compare(text: str, checksum: str | None) -> None:
    if checksum is None:
        return
    if not _CHECKSUM.fullmatch(checksum):
        raise LabelError("the checksum of the label is no 4 hex digits: scan the label again")
    covered = text[: -len(":C0000")]
    if not covered.isascii() or crc16_modbus(covered.encode()) != int(checksum, 16):
        raise LabelError("the checksum of the label is wrong: scan or type it again")
