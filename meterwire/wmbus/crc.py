"""The checksum of wireless M-Bus frames (EN 13757-4): polynomial 3D65, start 0, inverted, high octet first."""

from typing import Final

POLYNOMIAL: Final = 0x3D65
LENGTH: Final = 2


def crc(data: bytes) -> bytes:
    """The two octets that follow `data` on the air."""
    value = 0
    for octet in data:
        value = (value << 8 & 0xFFFF) ^ _TABLE[value >> 8 ^ octet]
    return (value ^ 0xFFFF).to_bytes(LENGTH, "big")


def _row(octet: int) -> int:
    value = octet << 8
    for _ in range(8):
        value = (value << 1 ^ (POLYNOMIAL if value & 0x8000 else 0)) & 0xFFFF
    return value


_TABLE: Final = tuple(_row(octet) for octet in range(256))
