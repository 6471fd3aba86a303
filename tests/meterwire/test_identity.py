"""The sealed identity hash proves which meter an adapter reads; the report on port 33 only warns early."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.config_records import IdentityKind, ReadIdentity
from meterwire.errors import ValueOutOfRange
from meterwire.identity import (
    REGISTER,
    Outcome,
    expected,
    identity_hash,
    judge,
    judge_hash,
    meter_of,
    name_of,
    shown,
)
from meterwire.ids import DevEUI, MeterId
from meterwire.registers import register_number
from meterwire.seal import InnerKey, Mode, Value, ValuesOpener, ValuesSealer, parse_values

DEVICE = DevEUI.parse("70B3D57ED0061234")
METER = MeterId.parse("1EMH0012345678")
SERVER_ID = bytes.fromhex("0A01454D480000BC614E")
KEY = InnerKey(bytes(range(16)))
names = st.binary(min_size=1, max_size=20)
devices = st.builds(DevEUI, st.binary(min_size=8, max_size=8))


@pytest.mark.parametrize(
    ("input", "octets"), [(0, SERVER_ID), (7, SERVER_ID), (0, b"1EMH0012345678"), (3, b"\x00"), (1, bytes(range(20)))]
)
def test_the_hash_is_the_start_of_sha_256_over_label_device_input_and_name(input: int, octets: bytes) -> None:
    text = "6d7370616e206d65746572206964656e74697479207631" + "70b3d57ed0061234" + f"{input:02x}" + octets.hex()
    digest = hashlib.sha256(bytes.fromhex(text)).hexdigest()
    assert identity_hash(DEVICE, input, octets) == int(digest[:8], 16)


def test_the_hash_of_the_documented_meter_is_the_documented_one() -> None:
    # printf 'mspan meter identity v1\x70\xb3...\x00\x0a\x01...' | sha256sum
    assert f"{identity_hash(DEVICE, 0, SERVER_ID):08x}" == "961bc01c"


@pytest.mark.parametrize(("input", "octets"), [(-1, b"x"), (8, b"x"), (0, b""), (0, bytes(21))])
def test_no_hash_for_what_no_report_carries(input: int, octets: bytes) -> None:
    with pytest.raises(ValueOutOfRange):
        identity_hash(DEVICE, input, octets)


def test_a_meter_may_name_itself_in_every_known_form() -> None:
    assert [name.hex().upper() for name in expected(METER)] == [
        "0A01454D480000BC614E",
        "0901454D480000BC614E",
        "01A815785634120002",
        "02A815785634120002",
        "31454D4830303132333435363738",
    ]


def test_a_known_server_id_comes_first_and_once() -> None:
    own = bytes.fromhex("0649534B0102030405")
    assert expected(METER, own)[0] == own
    assert expected(METER, SERVER_ID) == expected(METER)


def test_a_device_without_an_oms_form_has_the_others() -> None:
    assert len(expected(MeterId.parse("EPPC0212345678"))) == 3


@given(devices, st.integers(0, 7))
def test_every_form_of_the_registered_meter_matches(device: DevEUI, input: int) -> None:
    for name in expected(METER):
        assert judge_hash(identity_hash(device, input, name), device, input, METER) is Outcome.MATCH


@pytest.mark.parametrize("other", ["1EMH0012345679", "1EMH0112345678", "1ESY0012345678", "7EMH0012345678"])
def test_another_meter_does_not_match(other: str) -> None:
    for name in expected(MeterId.parse(other)):
        assert judge_hash(identity_hash(DEVICE, 0, name), DEVICE, 0, METER) is Outcome.MISMATCH


def test_a_hash_is_worth_nothing_at_another_input_or_adapter() -> None:
    value = identity_hash(DEVICE, 0, SERVER_ID)
    assert judge_hash(value, DEVICE, 1, METER) is Outcome.MISMATCH
    assert judge_hash(value, DevEUI.parse("70B3D57ED0061235"), 0, METER) is Outcome.MISMATCH


def test_the_name_behind_a_hash_is_found_among_known_ones() -> None:
    swapped = MeterId.parse("1ESY1161234567")
    candidates = expected(METER) + expected(swapped)
    value = identity_hash(DEVICE, 2, swapped.server_id())
    assert name_of(value, DEVICE, 2, candidates) == swapped.server_id()
    assert name_of(value ^ 1, DEVICE, 2, candidates) is None


@pytest.mark.parametrize(
    ("kind", "octets", "outcome"),
    [
        (IdentityKind.NONE, b"", Outcome.UNREADABLE),
        (IdentityKind.SERVER_ID, SERVER_ID, Outcome.MATCH),
        (IdentityKind.SERVER_ID, SERVER_ID[:-1] + b"\x4f", Outcome.MISMATCH),
        (IdentityKind.TEXT, b"1EMH0012345678", Outcome.MATCH),
        (IdentityKind.TEXT, b"12345678", Outcome.MISMATCH),
    ],
)
def test_a_report_is_judged(kind: int, octets: bytes, outcome: Outcome) -> None:
    assert judge(ReadIdentity(0, kind, octets), METER) is outcome


@pytest.mark.parametrize(
    ("octets", "meter", "text"),
    [
        ("0A01454D480000BC614E", "1EMH0012345678", "1 EMH 00 1234 5678"),
        ("0901454D480000BC614E", "1EMH0012345678", "1 EMH 00 1234 5678"),
        ("01A815785634120002", "1EMH0012345678", "1 EMH 00 1234 5678"),
        (b"1EMH0012345678".hex(), "1EMH0012345678", "1 EMH 00 1234 5678"),
        ("0649534B0102030405", None, "0649534B0102030405"),
        (b"ISK5MT174-0001".hex(), None, "ISK5MT174-0001"),
        ("01FFFFFFFFFFFFFFFF", None, "01FFFFFFFFFFFFFFFF"),
        ("", None, ""),
    ],
)
def test_a_name_is_shown_to_people(octets: str, meter: str | None, text: str) -> None:
    found = meter_of(bytes.fromhex(octets))
    assert (None if found is None else str(found)) == meter
    assert shown(bytes.fromhex(octets)) == text


@given(st.binary(max_size=20))
def test_any_name_can_be_shown(octets: bytes) -> None:
    assert shown(octets).isprintable()


@pytest.mark.parametrize("mode", [Mode.VALUES, Mode.ALL, Mode.CLEAR])
@given(device=devices, input=st.integers(0, 7), name=names, counter=st.integers(0, (1 << 32) - 1))
def test_the_hash_travels_sealed_with_the_values(
    mode: Mode, device: DevEUI, input: int, name: bytes, counter: int
) -> None:
    number, value = register_number(REGISTER, input), identity_hash(device, input, name)
    values = [Value(1, 56841020), Value(2, 3197930), Value(number, value)]
    payload = ValuesSealer(KEY, 1, device, widths={number: 8}).seal(counter, values, mode)
    opener = ValuesOpener(KEY, device)
    assert opener.open_raw(payload, counter) == [(1, 56841020), (2, 3197930), (number, value)]
    assert opener.open(parse_values(payload), counter) == tuple(values)


def test_the_hash_adds_six_bytes_and_only_its_name_is_readable() -> None:
    sealer, two = ValuesSealer(KEY, 1, DEVICE), [Value(1, 56841020), Value(2, 3197930)]
    value = identity_hash(DEVICE, 0, SERVER_ID)
    short, long = sealer.seal(75391, two), sealer.seal(75391, [*two, Value(REGISTER, value)])
    assert (len(short), len(long)) == (16, 22)
    assert long[12:14] == bytes((3 << 5 | 31, 31))
    assert parse_values(long).registers == ((1, 4), (2, 3), (31, 4))
    assert value.to_bytes(4, "big") not in long


def test_a_pair_that_is_remembered_is_not_taken_for_a_telegram_with_the_hash() -> None:
    # The opener remembers layouts of two registers; an identity hash beside one register must not look like one.
    sealer, opener = ValuesSealer(KEY, 1, DEVICE), ValuesOpener(KEY, DEVICE)
    hashed = sealer.seal(2, [Value(1, 56841020), Value(31, 0x01020304)])
    for counter, payload in ((1, sealer.seal(1, [Value(1, 5), Value(2, 7)])), (2, hashed)):
        opener.open_raw(payload, counter)
    assert opener.open_raw(sealer.seal(3, [Value(1, 6), Value(2, 8)]), 3) == [(1, 6), (2, 8)]
    assert opener.open_raw(sealer.seal(4, [Value(31, 1)]), 4) == [(31, 1)]
