"""Every frame fits at the slowest rate, comes back as it was, and refuses what no adapter sends."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire import key_messages
from meterwire.curves import Curve, PrivateKey
from meterwire.errors import AuthenticationError, FormatError, ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.seal import Key16
from meterwire.signed_day import (
    MAX_FRAME,
    DayRefusal,
    DayRequest,
    LeafHash,
    LeafRuns,
    Reason,
    Run,
    SignatureHalf,
    SigningKey,
    Wanted,
    authenticate,
    decode,
    encode,
    is_day_frame,
    run_frames,
    runs_of,
)
from tests.meterwire.vectors import load

DEV_EUI = DevEUI.parse("70b3d57ed0061234")
KEYS = key_messages.mac_keys(Key16(bytes(range(16))))
PUBLIC = PrivateKey(Curve.P256, bytes(31) + b"\x07").public
FRAMES = {
    "request": DayRequest(20454, Wanted.TELEGRAMS, 75391, 3),
    "key": SigningKey(1, PUBLIC),
    "r": SignatureHalf(0, 20454, 96, 75391, 75490, bytes(range(32))),
    "s": SignatureHalf(1, 20454, 96, 75391, 75490, bytes(range(32, 64))),
    "leaf": LeafHash(20454, 75391, bytes(range(32))),
    "runs": LeafRuns(20454, (Run(75391, 50), Run(75445, 46))),
    "refusal": DayRefusal(20454, Wanted.SIGNATURE, Reason.UNSIGNED),
}


def encoded(message: object) -> bytes:
    key = KEYS.down if isinstance(message, DayRequest) else KEYS.up
    return encode(message, key, DEV_EUI)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_comes_back_as_it_was_and_fits_at_every_rate(name: str) -> None:
    message, octets = FRAMES[name], encoded(FRAMES[name])
    assert len(octets) <= MAX_FRAME
    assert decode(octets, up=name != "request") == message


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_the_one_in_the_vectors(name: str) -> None:
    assert encoded(FRAMES[name]).hex() == load("signed_day")["frames"][name]


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_in_the_other_direction_is_none(name: str) -> None:
    with pytest.raises(FormatError):
        decode(encoded(FRAMES[name]), up=name == "request")


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_cut_or_lengthened_anywhere_is_refused(name: str) -> None:
    octets = encoded(FRAMES[name])
    for cut in range(len(octets)):
        if name == "runs" and cut >= 9 and (cut - 1) % 4 == 0:
            continue  # fewer runs are a frame as well: what is missing shows in the root
        with pytest.raises(FormatError):
            decode(octets[:cut], up=name != "request")
    with pytest.raises(FormatError):
        decode(octets + b"\0", up=name != "request")


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_raise_nothing_but_a_format_error(octets: bytes, up: bool) -> None:
    try:
        decode(octets, up=up)
    except FormatError:
        return
    assert is_day_frame(octets, up=up)


@given(st.integers(0xA0, 0xA5), st.binary(max_size=50))
def test_any_body_of_a_known_type_raises_nothing_but_a_format_error(type_: int, body: bytes) -> None:
    try:
        message = decode(bytes([type_]) + body, up=True)
    except FormatError:
        return
    assert (
        encode(message, KEYS.up, DEV_EUI)[: -8 if message.authentic else None]
        == (bytes([type_]) + body)[: -8 if message.authentic else None]
    )


@pytest.mark.parametrize("name", ["request", "key"])
def test_only_the_one_key_in_the_one_direction_authenticates(name: str) -> None:
    octets = encoded(FRAMES[name])
    right, wrong = (KEYS.down, KEYS.up) if name == "request" else (KEYS.up, KEYS.down)
    authenticate(octets, right, DEV_EUI)
    others = [(wrong, DEV_EUI), (Key16(bytes(16)), DEV_EUI), (right, DevEUI.parse("70b3d57ed0061235"))]
    for key, dev_eui in others:
        with pytest.raises(AuthenticationError):
            authenticate(octets, key, dev_eui)


def test_every_changed_bit_of_a_request_shows() -> None:
    octets = encoded(FRAMES["request"])
    for bit in range(len(octets) * 8):
        changed = bytearray(octets)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(AuthenticationError):
            authenticate(bytes(changed), KEYS.down, DEV_EUI)


def test_a_request_without_a_key_is_not_written() -> None:
    with pytest.raises(ValueOutOfRange):
        encode(FRAMES["request"])  # type: ignore[arg-type]


def test_more_telegrams_than_counters_are_refused() -> None:
    octets = bytearray(encoded(SignatureHalf(0, 1, 5, 10, 14, bytes(32))))
    octets[3:5] = (6).to_bytes(2)
    with pytest.raises(FormatError, match="do not fit"):
        decode(bytes(octets), up=True)


def test_an_unknown_question_or_reason_is_refused() -> None:
    request = bytearray(encoded(FRAMES["request"]))
    request[3] = 9
    with pytest.raises(FormatError):
        decode(bytes(request), up=False)
    with pytest.raises(FormatError):
        decode(bytes.fromhex("a50001000c"), up=True)


@given(st.sets(st.integers(0, 0xFFFFFFFF - 1), min_size=1, max_size=80))
def test_runs_tell_exactly_the_counters_that_were_used(counters: set[int]) -> None:
    frames = run_frames(7, runs_of(sorted(counters)))
    told = []
    for frame in frames:
        octets = encode(frame)
        assert len(octets) <= MAX_FRAME
        read = decode(octets, up=True)
        assert isinstance(read, LeafRuns)
        told += [counter for run in read.runs for counter in range(run.first, run.end)]
    assert told == sorted(counters)


def test_a_run_over_the_end_of_the_counter_is_refused() -> None:
    with pytest.raises(FormatError):
        decode(bytes.fromhex("a40007ffffffff0002"), up=True)


@pytest.mark.parametrize("name", ["request", "key", "runs"])
def test_the_examples_of_the_documentation_are_those_of_the_vectors(name: str) -> None:
    text = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    assert f"`{load('signed_day')['frames'][name]}`" in text
