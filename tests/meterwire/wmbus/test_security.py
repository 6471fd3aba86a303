"""Security modes 5 and 7: published telegrams open, everything else is refused with the right class of error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import AuthenticationError, FormatError, ReplayError, TagMismatch, UnsupportedSecurity
from meterwire.ids import MeterId
from meterwire.wmbus import Address, decode_link, decode_long, decode_upper, open_records, seal_5, seal_7
from meterwire.wmbus.security import MAC_BYTES
from tests.meterwire.wmbus.vectors import KEY, VECTORS, WIRED, key, telegram

METER = Address.of_meter(MeterId.parse("1EMH0212345678"))
MODE_7 = telegram("mode 7, short header")


def opened(frame: bytes, under=None, last=None):
    link = decode_link(frame)
    upper = decode_upper(link.upper)
    return open_records(upper, upper.address or link.address, under or key(), last)


@pytest.mark.parametrize(("name", "frame", "under", "counter", "records"), VECTORS)
def test_published_telegrams_open(name, frame, under, counter, records):
    found = opened(bytes.fromhex(frame), key(under))
    assert (found.records, found.counter) == (bytes.fromhex(records), counter)


def test_a_published_wired_telegram_opens():
    frame, records = (bytes.fromhex(text) for text in WIRED)
    upper = decode_upper(decode_long(frame).upper)
    assert open_records(upper, upper.address, key()).records == records


@pytest.mark.parametrize(("name", "frame", "under", "counter", "records"), VECTORS)
def test_a_wrong_key_opens_nothing(name, frame, under, counter, records):
    with pytest.raises(TagMismatch):
        opened(bytes.fromhex(frame), key("F" + under[1:]))


def test_what_we_seal_is_what_was_published():
    """Our own encoder against the vectors that wmbusmeters opens."""
    records = bytes.fromhex("0E037856341200000E833C230196000000042B24FAFFFF")
    assert seal_5(records, METER, key(), access=0x2A, long=False) == telegram("mode 5, short header")[13:]
    assert seal_7(records, METER, key(), access=0x2B, counter=0x1A2B3, long=False) == MODE_7[13:]


@pytest.mark.parametrize("at", range(10 + 3 + 5, len(MODE_7)))
def test_any_bit_changed_behind_the_layer_lengths_is_refused_in_mode_7(at):
    for bit in range(8):
        changed = bytearray(MODE_7)
        changed[at] ^= 1 << bit
        with pytest.raises((AuthenticationError, FormatError)):
            opened(bytes(changed))


def test_a_counter_that_has_not_risen_is_a_replay():
    assert opened(MODE_7, last=0x1A2B2).counter == 0x1A2B3
    for last in (0x1A2B3, 0x1A2B4):
        with pytest.raises(ReplayError):
            opened(MODE_7, last=last)


def test_a_wrong_mac_is_no_replay():
    """The counter of a telegram that is not authentic says nothing."""
    with pytest.raises(TagMismatch):
        opened(MODE_7, key("F" + KEY[1:]), last=0x1A2B4)


@pytest.mark.parametrize("control", [0x23, 0x24])
def test_a_mac_shorter_than_eight_octets_is_refused(control):
    size = {0x23: 2, 0x24: 4}[control]
    short = MODE_7[:13] + bytes((0x90, 7 + size, 0, 0x2C, control)) + MODE_7[18:22] + MODE_7[22 : 22 + size]
    frame = short + MODE_7[22 + MAC_BYTES :]
    with pytest.raises(UnsupportedSecurity, match="MAC"):
        opened(bytes((len(frame) - 1,)) + frame[1:])


def test_mode_7_without_an_authentication_layer_is_refused():
    frame = MODE_7[:13] + MODE_7[30:]
    with pytest.raises(UnsupportedSecurity, match="without a MAC"):
        opened(bytes((len(frame) - 1,)) + frame[1:])


@pytest.mark.parametrize("mode", [1, 8, 13, 31])
def test_other_modes_are_named(mode):
    frame = bytearray(telegram("mode 5, short header"))
    frame[17] = mode
    with pytest.raises(UnsupportedSecurity, match=f"mode {mode} "):
        opened(bytes(frame))


def test_fewer_blocks_than_announced_are_refused():
    frame = telegram("mode 5, short header")[:-1]
    with pytest.raises(FormatError, match="announces 2 encrypted blocks"):
        opened(bytes((len(frame) - 1,)) + frame[1:])


def test_more_records_than_fifteen_blocks_are_not_sealed():
    with pytest.raises(UnsupportedSecurity, match="15"):
        seal_7(bytes(239), METER, key(), access=0, counter=1, long=True)


@given(st.binary(max_size=255))
def test_any_bytes_raise_only_errors_of_ours(octets):
    try:
        upper = decode_upper(octets)
        open_records(upper, upper.address or METER, key())
    except (FormatError, AuthenticationError):
        pass


@given(st.binary(max_size=60), st.sampled_from([b"\x72", b"\x7a", b"\x78", b"\x90", b"\x8c", b"\x8e\x00"]))
def test_any_bytes_behind_a_known_layer_raise_only_errors_of_ours(octets, head):
    test_any_bytes_raise_only_errors_of_ours.hypothesis.inner_test(head + octets)


@given(st.binary(max_size=238), st.integers(0, 255), st.integers(0, 2**32 - 1), st.booleans())
def test_what_is_sealed_opens_again(records, access, counter, long):
    for octets in (
        seal_5(records, METER, key(), access=access, long=long),
        seal_7(records, METER, key(), access=access, counter=counter, long=long),
    ):
        upper = decode_upper(octets)
        assert (upper.address == METER) is long
        assert open_records(upper, METER, key()).records[2 : 2 + len(records)] == records
