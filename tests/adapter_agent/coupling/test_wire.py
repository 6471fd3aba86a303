"""Messages between the boards survive a noisy line, whole or not at all."""

from decimal import Decimal
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.coupling.wire import (
    MAX_BODY,
    Changed,
    Chunk,
    Configure,
    Hello,
    Nameplate,
    Poll,
    Read,
    Register,
    Telegrams,
    Time,
    Unpacker,
    from_reading,
    pack,
    to_reading,
)
from meterwire.errors import FormatError, LimitExceeded
from meterwire.reading import Reading, RegisterValue
from tests.adapter_agent.cast import reading

MESSAGES = [
    Hello(1, "telegram", ((0, "sml"), (3, "sml")), 77),
    Chunk(0, b"\x1b\x1b\x1b\x1b"),
    from_reading(2, reading(i180="12345.6", i1670="-1.5")),
    Poll(1, 51),
    Poll(2, 51, prove=True, proven=(0, 7)),
    Telegrams(1, ((5, b"abc"), (6, b"def")), 7),
    Telegrams(1, ((5, b"abc"), (6, b"def")), 7, {6: (0, 1)}),
    Configure({0: (1, 2), 7: (30,)}),
    Nameplate(0, 1, b"\x0a\x01EMH\0\0\xbcaN", {1: -1, 7: 0}),
    Changed(),
    Time(1_767_225_600.25),
]


def test_messages_come_back_in_order_however_the_stream_is_cut():
    stream = b"noise\xa5" + b"".join(pack(message) for message in MESSAGES)
    for step in (1, 7, 1000):
        unpacker = Unpacker()
        found = [m for at in range(0, len(stream), step) for m in unpacker.feed(stream[at : at + step])]
        assert found == MESSAGES
        assert not unpacker.refused


@given(st.integers(0, 1000), st.integers(0, 7), st.sampled_from(MESSAGES))
def test_a_flipped_bit_costs_its_own_message_only(at, bit, message):
    spoilt = bytearray(pack(message))
    spoilt[at % len(spoilt)] ^= 1 << bit
    found = Unpacker().feed(bytes(spoilt) + pack(Chunk(7, b"next")))
    assert found == [Chunk(7, b"next")]


@given(st.integers(0, 1000), st.sampled_from(MESSAGES))
def test_a_lost_byte_costs_little(at, message):
    whole = pack(message)
    cut = whole[: at % len(whole)] + whole[at % len(whole) + 1 :]
    found = Unpacker().feed(cut + pack(Chunk(7, b"next")) + pack(Chunk(7, b"last")))
    assert found[-1] == Chunk(7, b"last")
    assert message not in found


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything(data):
    unpacker = Unpacker()
    unpacker.feed(data)
    unpacker.feed(b"\xa5\x5a" + data)
    assert len(unpacker._buffer) <= MAX_BODY + 16


@pytest.mark.parametrize(
    "message",
    [
        Hello(1, "telegram", tuple((n % 8, "sml") for n in range(9))),
        Chunk(8, b""),
        Poll(1, 243),
        Telegrams(1, ((2**33, b""),), 0),
    ],
)
def test_a_message_outside_its_bounds_is_refused(message):
    unpacker = Unpacker()
    assert unpacker.feed(pack(message) + pack(Changed())) == [Changed()]
    assert unpacker.refused == {"message": 1}


def test_too_long_a_message_is_not_sent():
    with pytest.raises(LimitExceeded):
        pack(Chunk(0, bytes(MAX_BODY)))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.none(), st.integers(-128, 127) | st.none())
def test_a_reading_comes_back_exactly(value, scaler):
    entry = RegisterValue(None if value is None else Decimal(value), "Wh", scaler, 4)
    sent = Reading(None, b"\x01", {"1-0:1.8.0*255": entry}, 99)
    [message] = Unpacker().feed(pack(from_reading(1, sent)))
    assert to_reading(message) == sent


@pytest.mark.parametrize("text", ["", "x", "NaN", "Infinity", "1e5x"])
def test_a_value_that_is_no_number_is_refused(text):
    with pytest.raises(FormatError):
        to_reading(Read(0, None, None, {"1-0:1.8.0*255": Register(text, None, None, None)}))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (["poll", 1, 51], Poll(1, 51)),
        (["telegrams", 1, [[5, b"abc"]], 7], Telegrams(1, ((5, b"abc"),), 7)),
        (["poll", 1, 51, False, [], "of a later release"], Poll(1, 51)),
    ],
)
def test_boards_of_different_releases_understand_each_other(body, message):
    packed = msgspec.msgpack.encode(body)
    length = len(packed).to_bytes(2, "big")
    inverted = bytes(octet ^ 0xFF for octet in length)
    frame = b"\xa5\x5a" + length + inverted + packed + crc32(packed).to_bytes(4, "big")
    assert Unpacker().feed(frame) == [message]
