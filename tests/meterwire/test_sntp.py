"""SNTP: answers of a real server, and everything that must not be taken for one."""

import struct

import pytest

from meterwire.errors import FormatError
from meterwire.sntp import Answer, KissOfDeath, question

COOKIE = bytes.fromhex("0123456789abcdef")


def packet(
    first: int = 0x24,
    stratum: int = 2,
    root_delay: int = 0x0000_0800,
    root_dispersion: int = 0x0000_0400,
    reference: bytes = b"\xc0\x00\x02\x01",
    origin: bytes = COOKIE,
    received: int = 0xED00_0000 << 32,
    sent: int = 0xED00_0000_8000_0000,
) -> bytes:
    """By hand from RFC 5905, figure 8."""
    return (
        bytes((first, stratum, 6, 0xE8))
        + struct.pack(">II", root_delay, root_dispersion)
        + reference
        + bytes(8)
        + origin
        + struct.pack(">QQ", received, sent)
    )


def test_the_question_tells_nothing_of_this_clock() -> None:
    asked = question(COOKIE)
    assert (len(asked), asked[0], asked[1:40], asked[40:]) == (48, 0x23, bytes(39), COOKIE)


def test_an_answer_is_read() -> None:
    answer = Answer.decode(packet(), COOKIE)
    assert (answer.leap, answer.stratum, answer.root_delay, answer.root_dispersion) == (0, 2, 1 / 32, 1 / 64)
    assert answer.root_distance == 1 / 32
    assert (answer.received, answer.sent) == (0xED00_0000 - 2_208_988_800, 0xED00_0000 - 2_208_988_800 + 0.5)


def test_the_era_after_2036_follows_the_first() -> None:
    answer = Answer.decode(packet(received=1 << 32, sent=2 << 32), COOKIE)
    assert answer.received == 2_085_978_497.0  # 2036-02-07 06:28:17


def test_a_leap_second_is_announced_in_the_first_two_bits() -> None:
    assert Answer.decode(packet(first=0x64), COOKIE).leap == 1


def test_extensions_and_version_3_are_no_hindrance() -> None:
    assert Answer.decode(packet(first=0x1C) + bytes(20), COOKIE).stratum == 2


@pytest.mark.parametrize(
    ("datagram", "word"),
    [
        (b"", "at least 48"),
        (packet()[:47], "at least 48"),
        (packet(first=0x23), "no NTP server"),
        (packet(first=0x25), "no NTP server"),
        (packet(first=0x2C), "no NTP server"),
        (packet(origin=bytes(8)), "another question"),
        (packet(first=0xE4), "not synchronised"),
        (packet(stratum=16), "not synchronised"),
        (packet(stratum=0, reference=bytes(4)), "not synchronised"),
        (packet(received=0), "not synchronised"),
        (packet(sent=0), "not synchronised"),
        (packet(received=0xED00_0001 << 32), "before it receives"),
        (question(COOKIE), "no NTP server"),
    ],
)
def test_what_is_no_answer_is_refused(datagram: bytes, word: str) -> None:
    with pytest.raises(FormatError, match=word):
        Answer.decode(datagram, COOKIE)


def test_a_kiss_of_death_is_told_by_its_word() -> None:
    with pytest.raises(KissOfDeath) as caught:
        Answer.decode(packet(stratum=0, reference=b"RATE"), COOKIE)
    assert caught.value.code_word == "RATE"
    with pytest.raises(FormatError, match="another question"):
        Answer.decode(packet(stratum=0, reference=b"DENY", origin=bytes(8)), COOKIE)


def test_a_cookie_has_64_bits() -> None:
    with pytest.raises(FormatError):
        question(b"short")
