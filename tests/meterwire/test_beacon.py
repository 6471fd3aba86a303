"""The beacon's 16 bytes."""

import pytest

from meterwire.beacon import LENGTH, Beacon
from meterwire.clock_package import ClockQuality
from meterwire.errors import FormatError

BEACON = Beacon(bytes.fromhex("44556677"), 0x0151E5A5BA50, 2, ClockQuality.NTP)
BODY = "e0b1" + "44556677" + "0151e5a5ba50" + "02" + "02"


def xmodem(data: bytes) -> int:
    """CRC-16/XMODEM bit by bit: polynomial 0x1021, begin 0, nothing reflected."""
    value = 0
    for octet in data:
        value ^= octet << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


def test_it_has_the_documented_bytes() -> None:
    assert xmodem(b"123456789") == 0x31C3
    assert BEACON.encode().hex() == f"{BODY}{xmodem(bytes.fromhex(BODY)):04x}"
    assert len(BEACON.encode()) == LENGTH
    assert Beacon.decode(BEACON.encode()) == BEACON


def test_a_leap_second_is_told() -> None:
    told = Beacon(b"abcd", 0, 255, ClockQuality.GPS, leap_soon=True)
    assert Beacon.decode(told.encode()) == told


@pytest.mark.parametrize("bit", range(8 * LENGTH))
def test_every_single_bit_error_is_noticed(bit: int) -> None:
    damaged = bytearray(BEACON.encode())
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        Beacon.decode(bytes(damaged))


@pytest.mark.parametrize("phy", [b"", bytes(16), BEACON.encode()[:-1], BEACON.encode() + b"\0"])
def test_other_frames_are_none(phy: bytes) -> None:
    with pytest.raises(FormatError, match="no beacon"):
        Beacon.decode(phy)


@pytest.mark.parametrize(
    "beacon",
    [
        Beacon(b"abc", 0, 0, ClockQuality.NTP),
        Beacon(b"abcd", 1 << 48, 0, ClockQuality.NTP),
        Beacon(b"abcd", 0, 256, ClockQuality.NTP),
    ],
)
def test_what_does_not_fit_is_refused(beacon: Beacon) -> None:
    with pytest.raises(FormatError):
        beacon.encode()
