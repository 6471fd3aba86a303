"""Explains identifiers: which kind, its parts, and the other forms the same thing is written in."""

import re

from meterwire.errors import FormatError, IdentifierError
from meterwire.explain.context import Context, Explanation
from meterwire.ids import (
    SECTORS,
    Eic,
    Eui64,
    MaloId,
    MarketId,
    MeloId,
    MeterId,
    MpId,
    NeloId,
    ServerId,
    SrId,
    TrId,
    flag_number,
)

_HEX = re.compile("[0-9A-Fa-f]+")


def named(text: str) -> Explanation | None:
    """An identifier that shows by its shape; None for another text. IdentifierError for one with a mistake."""
    plain = text.replace(" ", "")
    if re.fullmatch("[0-9]{11}", plain):
        return _market(MaloId.parse(plain))
    if re.fullmatch("[0-9]{13}", plain):
        return _market(MpId.parse(plain))
    if re.fullmatch("[A-Za-z]{2}[0-9A-Za-z]{31}", plain) and not _HEX.fullmatch(plain):
        return _market(MeloId.parse(plain))
    if re.fullmatch("[ECDecd][0-9A-Za-z]{10}", plain):
        kind = {"E": NeloId, "C": SrId, "D": TrId}[plain[0].upper()]
        return _market(kind.parse(plain))
    if re.fullmatch("[0-9A-Za-z][A-Za-z]{3}[0-9A-Za-z]{10}", plain) and _is_meter_id(plain):
        return {"kind": "meter identifier"} | _meter(MeterId.parse(text))
    if re.fullmatch("[0-9A-Za-z]{2}[A-Za-z][0-9A-Za-z-]{12}[0-9A-Za-z-]", plain) and not _HEX.fullmatch(plain):
        return _eic(Eic.parse(plain))
    return None


def server_id(octets: bytes, _context: Context) -> Explanation:
    """An SML server id that carries a meter's identity (types 01, 02, 09, 0A) or a MAC address (05). FormatError."""
    found = ServerId(octets)
    answer: Explanation = {"kind": "SML server id", "server_id": str(found), "type": found.kind}
    if found.octets[0] in (1, 2):
        return answer | _oms(octets[1:3], octets[3:]) | {"server_id": str(found), "lmn_server_id": str(found)}
    meter = found.meter_id
    if meter is not None:
        return answer | _meter(meter) | {"server_id": str(found)}
    if found.octets[0] == 5 and len(octets) == 7:
        return answer | {"mac": octets[1:].hex(":").upper()}
    if found.octets[0] == 6 and len(octets) == 10 and octets[1:4].isalpha() and octets[1:4].isupper():
        return answer | {"maker": octets[1:4].decode(), "meter_id": None}
    raise FormatError("the bytes after the type are no server id of that type")


def oms_address(octets: bytes, _context: Context) -> Explanation:
    """An M-field and A-field of OMS, 8 bytes as on the air. FormatError."""
    if len(octets) != 8:
        raise FormatError("an OMS address has 8 bytes")
    return {"kind": "OMS address"} | _oms(octets[:2], octets[2:])


def eui(octets: bytes, _context: Context) -> Explanation:
    """An EUI-64 in reading order. FormatError."""
    found = Eui64.from_bytes(octets)
    answer: Explanation = {
        "kind": "EUI-64",
        "eui": str(found),
        "label": found.label,
        "on_air": found.air.hex(),
        "oui": found.label[:6],
    }
    if octets[3:5] == b"\xff\xfe":
        answer["mac"] = (octets[:3] + octets[5:]).hex(":").upper()
    return answer


def mac_address(octets: bytes, _context: Context) -> Explanation:
    """A 48-bit MAC address, with its EUI-64. FormatError."""
    if len(octets) != 6:
        raise FormatError("a MAC address has 6 bytes")
    found = Eui64.from_mac(octets.hex())
    return {"kind": "MAC address", "mac": octets.hex(":").upper(), "eui": str(found), "label": found.label}


def _is_meter_id(plain: str) -> bool:
    # Seven bytes of hex look much the same: only what is right in every place counts as an identifier then.
    if not _HEX.fullmatch(plain):
        return True
    try:
        MeterId.parse(plain)
    except IdentifierError:
        return False
    return True


def _market(found: MarketId) -> Explanation:
    answer: Explanation = {"kind": found.name, "id": str(found)}
    if isinstance(found, MaloId | MpId):
        answer["issuer"] = found.issuer
    if isinstance(found, MeloId):
        names = ("country", "network_operator", "postcode", "metering_point")
        return answer | dict(zip(names, found.parts, strict=True)) | {"check_digit": None}
    return answer | {"check_digit": int(found.text[-1])}


def _eic(found: Eic) -> Explanation:
    return {
        "kind": "EIC",
        "id": str(found),
        "office": found.office,
        "object_type": found.object_type or found.text[2],
        "check_character": found.text[15],
    }


def _oms(m_field: bytes, a_field: bytes) -> Explanation:
    return _meter(MeterId.from_oms(m_field, a_field)) | {
        "version": a_field[4],
        "device_type": f"{a_field[5]:02X}",
        "oms_m_field": m_field.hex().upper(),
        "oms_a_field": a_field.hex().upper(),
        "lmn_server_id": (b"\x01" + m_field + a_field).hex().upper(),
    }


def _meter(meter: MeterId) -> Explanation:
    answer: Explanation = {
        "meter_id": str(meter),
        "display": meter.display,
        "sector": meter.sector,
        "sector_name": SECTORS[meter.sector],
        "maker": meter.maker,
        "block": f"{meter.block:02X}",
        "number": f"{meter.number:08d}",
        "flag_number": f"0x{flag_number(meter.maker):04X}",
        "server_id": meter.server_id().hex().upper(),
    }
    try:
        m_field, a_field = meter.oms()
    except IdentifierError:
        return answer | {"oms_m_field": None, "oms_a_field": None, "lmn_server_id": None}
    return answer | {
        "oms_m_field": m_field.hex().upper(),
        "oms_a_field": a_field.hex().upper(),
        "lmn_server_id": meter.lmn_server_id().hex().upper(),
    }
