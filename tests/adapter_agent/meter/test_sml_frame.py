"""The frame scanner finds every whole frame, wherever the stream begins, breaks and goes on."""

from hypothesis import example, given
from hypothesis import strategies as st

from adapter_agent.meter.sml.crc import CrcKind, kermit, x25
from adapter_agent.meter.sml.frame import MAX_FRAME, MAX_STARTS, FrameScanner
from tests.adapter_agent.meter.build import ESCAPE, START, frame


def payloads(scanner: FrameScanner, data: bytes) -> list[bytes]:
    return [found.payload for found in scanner.feed(data)]


def test_crc_check_values_of_the_catalogue():
    assert x25(b"123456789") == (0x906E).to_bytes(2, "little")
    assert kermit(b"123456789") == (0x2189).to_bytes(2, "big")


def test_finds_a_frame_between_noise_and_tells_where_it_stood():
    raw = frame(b"ab")
    [found] = FrameScanner().feed(b"\x1b\x1bnoise" + raw + b"\x1b\x1b\x1bnoise")
    assert (found.payload, found.crc, found.offset, found.length) == (b"ab", CrcKind.X25, 7, len(raw))


def test_tries_kermit_when_x25_does_not_fit():
    [found] = FrameScanner().feed(frame(b"holley", crc=kermit))
    assert found.crc is CrcKind.KERMIT


def test_a_new_start_ends_a_broken_frame_at_once():
    scanner = FrameScanner()
    assert payloads(scanner, frame(b"first")[:-5] + frame(b"second")) == [b"second"]
    assert scanner.refused == {"cut": 1}


def test_a_frame_cut_right_behind_an_escape_does_not_hide_the_next_start():
    cut = START + b"data" + ESCAPE
    assert payloads(FrameScanner(), cut + frame(b"next")) == [b"next"]


def test_a_frame_cut_in_its_end_sequence_does_not_hide_the_next_start():
    whole = frame(b"data")
    for missing in range(1, 8):
        assert payloads(FrameScanner(), whole[:-missing] + frame(b"next")) == [b"next"]


def test_refuses_a_wrong_checksum_and_goes_on():
    spoilt = bytearray(frame(b"data"))
    spoilt[9] ^= 1
    scanner = FrameScanner()
    assert payloads(scanner, bytes(spoilt) + frame(b"next")) == [b"next"]
    assert scanner.refused == {"crc": 1}


def test_refuses_an_impossible_number_of_fill_bytes():
    raw = START + b"\0" * 8 + ESCAPE + b"\x1a\x04"
    scanner = FrameScanner()
    assert payloads(scanner, raw + x25(raw)) == []
    raw = START + b"data" + ESCAPE + b"\x1a\x01"
    assert payloads(scanner, raw + x25(raw)) == []
    assert scanner.refused == {"fill": 2}


def test_reads_a_frame_of_the_greatest_length_and_none_longer():
    scanner = FrameScanner()
    longest = frame(b"d" * (MAX_FRAME - 16))
    assert len(longest) == MAX_FRAME
    assert len(payloads(scanner, longest)) == 1
    assert payloads(scanner, frame(b"d" * (MAX_FRAME - 12)) + frame(b"next")) == [b"next"]
    assert scanner.refused == {"length": 1}


def test_memory_stays_bounded_without_any_frame():
    scanner = FrameScanner()
    for _ in range(100):
        scanner.feed(START + b"x" * 3000)
        scanner.feed(b"\x1b" * 5000)
    assert len(scanner._buffer) < 2 * MAX_FRAME
    assert len(scanner._starts) <= MAX_STARTS


def test_an_end_of_stream_counts_the_open_frame_as_cut():
    scanner = FrameScanner()
    scanner.feed(frame(b"data")[:-1])
    scanner.close()
    assert scanner.refused == {"cut": 1}
    assert payloads(scanner, frame(b"again")) == [b"again"]


@given(
    st.lists(st.sampled_from([b"\x1b", b"\x1b" * 4, b"\x01" * 4, b"\x1a", b"\x1a\x00", b"\x00", b"data"]), max_size=20)
)
@example([ESCAPE])
@example([START])
@example([ESCAPE, b"\x1a\x00"])
def test_any_payload_comes_back_whatever_escapes_are_in_it(parts):
    payload = b"".join(parts)
    padded = payload + b"\xff" * (-len(payload) % 4)
    assert payloads(FrameScanner(), frame(padded)) == [padded]


@given(st.data())
def test_pieces_of_any_size_give_the_same_frames(data):
    stream = b"".join(
        data.draw(
            st.lists(
                st.sampled_from([frame(b"one."), frame(b"two."), START, ESCAPE, b"\x1a", b"noise", b"\x1b"]), max_size=8
            )
        )
    )
    whole = FrameScanner()
    expected = whole.feed(stream)
    pieces, at, found = FrameScanner(), 0, []
    while at < len(stream):
        step = data.draw(st.integers(1, 9))
        found += pieces.feed(stream[at : at + step])
        at += step
    assert found == expected
    assert pieces.refused == whole.refused


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything(data):
    scanner = FrameScanner()
    scanner.feed(START + data)
    scanner.feed(data)
    scanner.close()
