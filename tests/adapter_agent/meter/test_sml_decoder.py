"""What the decoder makes of right, odd and hostile SML."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.meter.sml import SmlMeter
from adapter_agent.meter.sml.crc import kermit
from adapter_agent.meter.sml.frame import MAX_FRAME
from adapter_agent.meter.sml.message import MAX_MESSAGES
from tests.adapter_agent.meter.build import (
    ABSENT,
    energy,
    entry,
    frame,
    get_list,
    head,
    list_of,
    message,
    octets,
    signed,
    telegram,
    unsigned,
    values,
)
from tests.support.steps import within

IMPORT, EXPORT, POWER = "0100010800ff", "0100020800ff", "0100100700ff"


def read(data: bytes) -> tuple[list, dict[str, int]]:
    meter = SmlMeter()
    readings = meter.feed(data)
    meter.close()
    return readings, dict(meter.refused)


def test_gives_identity_and_exact_values():
    [reading], refused = read(telegram(energy(IMPORT, 123456), energy(EXPORT, 5, scaler=3)))
    assert reading.to_json() == {
        "meter_id": "1EMH0012345678",
        "server_id": "0A01454D480000BC614E",
        "registers": {
            "1-0:1.8.0*255": {"value": "12345.6", "unit": "Wh"},
            "1-0:2.8.0*255": {"value": "5000", "unit": "Wh"},
        },
    }
    assert refused == {}


@pytest.mark.parametrize(
    ("raw", "scaler", "text"),
    [
        (0, -1, "0.0"),
        (2**64 - 1, -8, "184467440737.09551615"),
        (2**64 - 1, 3, "18446744073709551615000"),
        (1, -20, "0.00000000000000000001"),
    ],
)
def test_no_digit_is_lost_to_rounding(raw, scaler, text):
    [reading], _ = read(telegram(energy(IMPORT, raw, scaler, size=8)))
    assert values(reading) == {"1-0:1.8.0*255": text}


def test_integers_of_any_length_up_to_eight_bytes():
    for size in range(1, 9):
        [reading], _ = read(telegram(entry(POWER, signed(-3, size))))
        assert values(reading) == {"1-0:16.7.0*255": "-3"}
    assert read(telegram(entry(POWER, signed(-3, 9)))) == ([], {"sml_limit": 1})
    assert read(telegram(entry(POWER, head(5, 0)))) == ([], {"sml": 1})


def test_unit_scaler_status_and_time_may_be_missing_or_odd():
    bare_time, chosen_time = unsigned(99, 4), list_of(unsigned(1, 1), unsigned(99, 4))
    local_time = list_of(unsigned(3, 1), list_of(unsigned(99, 4), signed(60, 2), signed(0, 2)))
    for moment in (ABSENT, bare_time, chosen_time, local_time):
        [reading], _ = read(frame(get_list(entry(IMPORT, unsigned(7, 1), time=moment), time=moment)))
        assert reading.to_json()["registers"] == {"1-0:1.8.0*255": {"value": "7", "unit": None}}
        assert reading.sensor_time == (None if moment == ABSENT else 99)


def test_a_withheld_value_is_shown_as_such_and_costs_nothing_else():
    withheld = entry(POWER, unit=unsigned(27, 1), scaler=signed(0, 1))
    [reading], refused = read(telegram(withheld, energy(IMPORT, 10)))
    assert reading.to_json()["registers"] == {
        "1-0:16.7.0*255": {"value": None, "unit": "W"},
        "1-0:1.8.0*255": {"value": "1.0", "unit": "Wh"},
    }
    assert refused == {}


def test_names_and_keys_are_no_registers():
    [reading], _ = read(
        telegram(entry("0100603201 01".replace(" ", ""), octets(b"EMH")), entry("8181c78205ff", octets(b"k" * 48)))
    )
    assert reading.registers == {}


def test_past_periods_are_registers_of_their_own():
    [reading], _ = read(telegram(energy(IMPORT, 107938987), energy("010001080064", 107938, 2)))
    assert values(reading) == {"1-0:1.8.0*255": "10793898.7", "1-0:1.8.0*100": "10793800"}


@pytest.mark.parametrize(
    ("serial", "size", "text"),
    [
        (42_082_910, 2, "356.24"),
        (58_999_999, 2, "356.24"),
        (41_999_999, 2, "-299.12"),
        (59_000_000, 2, "-299.12"),
        (42_082_910, 4, "-299.12"),
    ],
)
def test_the_dzg_rule_holds_for_its_serial_numbers_and_lengths_only(serial, size, text):
    server_id = bytes.fromhex("0a01445a4700") + serial.to_bytes(4, "big")
    [reading], _ = read(
        telegram(entry(POWER, signed(-29912, size), unit=unsigned(27, 1), scaler=signed(-2, 1)), server_id=server_id)
    )
    assert values(reading) == {"1-0:16.7.0*255": text}


def test_the_dzg_rule_leaves_other_makers_and_registers_alone():
    dzg = bytes.fromhex("0a01445a4700") + (42_082_910).to_bytes(4, "big")
    [reading], _ = read(telegram(entry(POWER, signed(-1, 1)), entry("0100240700ff", signed(-1, 1)), server_id=dzg))
    assert values(reading) == {"1-0:16.7.0*255": "255", "1-0:36.7.0*255": "-1"}
    emh = bytes.fromhex("0a01454d4800") + (42_082_910).to_bytes(4, "big")
    [reading], _ = read(telegram(entry(POWER, signed(-1, 1)), server_id=emh))
    assert values(reading) == {"1-0:16.7.0*255": "-1"}


@pytest.mark.parametrize("server_id", ["3032323830383136", "01a815986480020102", "06454d4801027156cd45"])
def test_a_server_id_of_another_form_maps_to_no_meter_identity(server_id):
    [reading], _ = read(telegram(energy(IMPORT, 1), server_id=bytes.fromhex(server_id)))
    assert reading.meter_id is None
    assert reading.to_json()["server_id"] == server_id.upper()


def test_reads_kermit_frames_whose_messages_are_kermit_too():
    [reading], _ = read(frame(get_list(energy(IMPORT, 1), crc=kermit), crc=kermit))
    assert values(reading) == {"1-0:1.8.0*255": "0.1"}


def test_a_message_checksum_may_come_without_its_leading_zero():
    for serial in range(2000):  # until a message happens to have a checksum that begins with zero
        whole = get_list(energy(IMPORT, serial))
        if whole[-3] == 0:
            short = whole[:-4] + b"\x62" + whole[-2:-1] + b"\0"
            [reading], _ = read(frame(short))
            assert values(reading) == {"1-0:1.8.0*255": f"{serial / 10:.1f}"}
            return
    pytest.fail("no such checksum among 2000 messages")


def test_a_wrong_message_checksum_refuses_the_frame_and_the_next_one_is_read():
    readings, refused = read(frame(get_list(energy(IMPORT, 1), spoil=True)) + telegram(energy(IMPORT, 2)))
    assert [values(reading) for reading in readings] == [{"1-0:1.8.0*255": "0.2"}]
    assert refused == {"sml_message_crc": 1}


def test_one_bad_message_refuses_the_good_ones_beside_it():
    assert read(frame(get_list(energy(IMPORT, 1)), get_list(energy(IMPORT, 2), spoil=True))) == (
        [],
        {"sml_message_crc": 1},
    )


def test_lists_nested_3000_deep_are_refused_quickly():
    nested = message(0x0701, b"\x71" * 3000 + ABSENT)
    told = within(100_000, lambda: read(frame(nested) + telegram(energy(IMPORT, 1))))
    assert told[1] == {"sml_limit": 1}


def test_a_list_that_claims_more_elements_than_there_are_bytes_is_refused():
    assert read(frame(message(0x0701, b"\xff\x8f\x8f\x8f\x0f" + ABSENT)))[1] == {"sml": 1}
    assert read(frame(message(0x0701, list_of(*[ABSENT] * 300))))[1] == {"sml_limit": 1}


def test_too_many_messages_are_refused():
    assert read(frame(*[message(0x0201, list_of(ABSENT))] * (MAX_MESSAGES + 1)))[1] == {"sml": 1}


@pytest.mark.parametrize(
    "bad",
    [
        entry(IMPORT[:10], unsigned(1, 1)),
        entry(IMPORT, unsigned(1, 1), unit=unsigned(256, 2)),
        entry(IMPORT, unsigned(1, 1), scaler=signed(-129, 2)),
        entry(IMPORT, unsigned(1, 1), status=octets(b"x")),
        list_of(octets(bytes.fromhex(IMPORT)), unsigned(1, 1)),
        octets(b"no entry"),
        b"\x15\x01\x02\x03\x04",
    ],
)
def test_malformed_entries_refuse_the_frame(bad):
    assert read(telegram(bad)) == ([], {"sml": 1})


def test_other_messages_are_passed_over():
    attention = message(0xFF01, list_of(octets(b"x"), octets(b"y"), ABSENT, ABSENT))
    assert read(frame(attention)) == ([], {})


def test_every_single_bit_error_is_refused_and_costs_only_its_own_frame():
    good = telegram(energy(IMPORT, 123456))
    for at in range(len(good) * 8):
        spoilt = bytearray(good)
        spoilt[at // 8] ^= 1 << at % 8
        readings, _ = read(bytes(spoilt) + good)
        assert [values(reading) for reading in readings] == [{"1-0:1.8.0*255": "12345.6"}], at


@given(
    st.dictionaries(
        st.binary(min_size=6, max_size=6),
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-12, 6), st.sampled_from([27, 30, 33, 35])),
        max_size=20,
    )
)
def test_any_registers_come_back_exactly(registers):
    entries = [
        entry(obis.hex(), signed(raw, 8), unit=unsigned(unit, 1), scaler=signed(scaler, 1))
        for obis, (raw, scaler, unit) in registers.items()
    ]
    [reading], refused = read(telegram(*entries))
    assert refused == {}
    assert {obis: value.value for obis, value in reading.registers.items()} == {
        "{}-{}:{}.{}.{}*{}".format(*obis): Decimal(raw).scaleb(scaler) for obis, (raw, scaler, _) in registers.items()
    }


@given(st.binary(max_size=300))
def test_no_content_of_a_frame_raises_anything(content):
    for payload in (content, message(0x0701, content), get_list(content)):
        meter = SmlMeter()
        meter.feed(frame(payload))
        assert meter.accepted + meter.refused.total() == 1


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything(data):
    read(data)


def test_the_longest_frame_of_the_smallest_elements_is_decoded_in_bounded_time():
    entries = energy(IMPORT, 1) * 200
    body = list_of(ABSENT, octets(b"x"), ABSENT, ABSENT, head(7, 200) + entries, ABSENT, ABSENT)
    whole = frame(message(0x0701, body))
    assert len(whole) < MAX_FRAME
    assert len(within(1_000_000, lambda: read(whole))[0]) == 1
