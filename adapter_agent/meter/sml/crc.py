"""The two checksums met in SML: CRC-16/X.25 nearly everywhere, CRC-16/KERMIT in some Holley firmwares."""

from binascii import crc_hqx
from enum import Enum

_MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


class CrcKind(Enum):
    """Nothing in a frame says which kind it carries: the receiver tries both."""

    X25 = "x25"
    KERMIT = "kermit"


def x25(data: bytes) -> bytes:
    """CRC-16/X.25 (polynomial 1021 reflected, start FFFF, inverted) as on the wire: low byte first."""
    return (_mirror(crc_hqx(data.translate(_MIRRORED), 0xFFFF)) ^ 0xFFFF).to_bytes(2, "little")


def kermit(data: bytes) -> bytes:
    """CRC-16/KERMIT (the same polynomial, start 0, not inverted) as on the wire: high byte first."""
    return _mirror(crc_hqx(data.translate(_MIRRORED), 0)).to_bytes(2, "big")


def kind_of(data: bytes, crc: bytes) -> CrcKind | None:
    """Which kind makes `crc` (2 bytes, wire order) the checksum of `data`; None when neither does."""
    if x25(data) == crc:
        return CrcKind.X25
    if kermit(data) == crc:
        return CrcKind.KERMIT
    return None


def _mirror(crc: int) -> int:
    # crc_hqx runs most significant bit first; mirroring its input bytes and its result gives the reflected CRC.
    return _MIRRORED[crc & 0xFF] << 8 | _MIRRORED[crc >> 8]
