"""Our encoder against facts, against the decoder, and against pysml as a foreign judge."""

from decimal import Decimal

import pytest
import sml as pysml
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.meter.sml import SmlMeter
from adapter_agent.simulation import sml_encoder as sml
from adapter_agent.simulation.load import Load
from adapter_agent.simulation.measurement import Mains
from adapter_agent.simulation.meters import SimulatedMeter
from adapter_agent.simulation.shapes import SHAPES, Shape
from adapter_agent.simulation.sml_encoder import Checksum
from meterwire.ids import MeterId

READABLE_BY_PYSML = [shape for shape in SHAPES.values() if shape.checksum is Checksum.X25]

moments = st.floats(1_600_000_000, 1_900_000_000)
shapes = st.sampled_from(list(SHAPES.values()))


def meter(shape: Shape, *, pin: bool = True, kwp: float = 7.0) -> SimulatedMeter:
    block = 0x02 if shape.maker == "HLY" else 0x00
    load = Load(len(shape.name), yearly_kwh=3000, kwp=kwp, tariffs=2)
    return SimulatedMeter(shape, MeterId("1", shape.maker, block, 42_003_117), Mains(load), pin=pin)


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (sml.octets(None), "01"),
        (sml.octets(b""), "01"),
        (sml.octets(b"EMH"), "04454d48"),
        (sml.octets(bytes(14)), "0f" + "00" * 14),
        (sml.octets(bytes(15)), "8101" + "00" * 15),
        (sml.octets(bytes(48)), "8302" + "00" * 48),
        (sml.octets(bytes(253)), "8f0f" + "00" * 253),
    ],
)
def test_octet_strings_count_their_own_tag(encoded: bytes, expected: str) -> None:
    assert encoded.hex() == expected


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (sml.unsigned(0), "6200"),
        (sml.unsigned(255), "62ff"),
        (sml.unsigned(256), "630100"),
        (sml.unsigned(0x04E1A20D, 8), "690000000004e1a20d"),
        (sml.signed(-1), "52ff"),
        (sml.signed(127), "527f"),
        (sml.signed(128), "530080"),
        (sml.signed(-128), "5280"),
        (sml.signed(-129), "53ff7f"),
        (sml.signed(151_418_145, 5), "560009067521"),
        (sml.unsigned_as_signed(35_624), "538b28"),  # as in a public capture of a DVS74: 356.24 W
        (sml.unsigned_as_signed(-1), "55ffffffff"),
    ],
)
def test_numbers_are_as_wide_as_told_or_as_narrow_as_they_can(encoded: bytes, expected: str) -> None:
    assert encoded.hex() == expected


def test_a_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OverflowError):
        sml.unsigned(256, 1)
    with pytest.raises(OverflowError):
        sml.signed(128, 1)


def test_a_long_list_takes_two_tag_octets() -> None:
    assert sml.sequence([sml.ABSENT] * 29).hex() == "f10d" + "01" * 29  # the list of a Holley DTZ541


def test_the_checksums_give_their_check_values() -> None:
    assert Checksum.X25.of(b"123456789").hex() == "6e90"  # 906E, low octet first
    assert Checksum.KERMIT.of(b"123456789").hex() == "2189"  # 2189, high octet first


def test_a_checksum_that_begins_with_zero_may_be_shortened() -> None:
    for number in range(2000):
        data = sml.message(number.to_bytes(4, "big"), sml.CLOSE_RESPONSE, sml.sequence((sml.ABSENT,)))
        if data[-3] == 0:
            short = sml.message(
                number.to_bytes(4, "big"),
                sml.CLOSE_RESPONSE,
                sml.sequence((sml.ABSENT,)),
                shortened_checksum=True,
            )
            assert short[-3:] == b"\x62" + data[-2:]
            return
    pytest.fail("no checksum began with zero")


@given(st.binary(max_size=200))
def test_an_escape_in_the_payload_is_doubled_and_the_frame_filled_up(payload: bytes) -> None:
    frame = sml.transport(payload + b"\x1b" * 4 + payload)
    assert len(frame) % 4 == 0
    body = frame[8:-8]
    fill = frame[-3]
    assert fill < 4
    unescaped = body[: len(body) - fill].replace(sml.ESCAPE * 2, sml.ESCAPE)
    assert unescaped == (payload + b"\x1b" * 4 + payload)


@given(shapes, moments, st.booleans())
def test_our_decoder_reads_back_every_register_exactly(shape: Shape, moment: float, pin: bool) -> None:
    sender = meter(shape, pin=pin)
    decoder = SmlMeter()
    (reading,) = decoder.feed(sender.telegram(moment))
    assert {obis: register.value for obis, register in reading.registers.items()} == sender.values(moment)
    assert reading.server_id == sender.server_id
    assert not decoder.refused


@given(st.sampled_from(READABLE_BY_PYSML), moments, st.booleans())
def test_pysml_reads_the_same(shape: Shape, moment: float, pin: bool) -> None:
    sender = meter(shape, pin=pin)
    _, frame = pysml.SmlBase().find_frame(sender.telegram(moment))
    assert frame is not None
    entries = {entry["objName"]: entry for entry in frame[1]["messageBody"]["valList"]}
    for obis, value in sender.values(moment).items():
        assert Decimal(str(entries[obis]["value"])) == pytest.approx(value, rel=Decimal("1e-12"))


def test_kermit_is_what_pysml_does_not_know() -> None:
    _, frame = pysml.SmlBase().find_frame(meter(SHAPES["holley-dtz541"]).telegram(1_760_000_000.0))
    assert not frame


def test_without_a_pin_only_whole_kilowatt_hours_show() -> None:
    for shape in SHAPES.values():
        locked = meter(shape, pin=False).values(1_781_780_400.0)
        assert set(locked) <= {"1-0:1.8.0*255", "1-0:1.8.1*255", "1-0:1.8.2*255", "1-0:2.8.0*255"}
        assert all(value.as_tuple().exponent == 3 for value in locked.values())


def test_power_of_a_dzg_meter_is_sent_unsigned_in_a_signed_tag() -> None:
    sender = meter(SHAPES["dzg-dvs74"])
    seen = set()
    for minute in range(2000):
        moment = 1_781_700_000.0 + 60 * minute
        power = sender.values(moment)["1-0:16.7.0*255"]
        high_bit_set = power > 0 and (int(power * 100).bit_length() % 8 == 0)
        (reading,) = SmlMeter().feed(sender.telegram(moment))
        assert reading.registers["1-0:16.7.0*255"].value == power
        seen.add("quirk" if high_bit_set else "feeding in" if power < 0 else "plain")
    assert seen == {"quirk", "feeding in", "plain"}


def test_a_server_id_of_type_06_maps_to_no_din_identity() -> None:
    (reading,) = SmlMeter().feed(meter(SHAPES["emh-ehz"]).telegram(1_760_000_000.0))
    assert reading.server_id is not None
    assert reading.server_id[0] == 0x06
    assert reading.meter_id is None


def test_telegrams_are_as_long_as_those_of_the_real_meters() -> None:
    lengths = {name: len(meter(shape).telegram(1_760_000_000.0)) for name, shape in SHAPES.items()}
    assert lengths["dzg-dvs74"] == 256
    assert lengths["itron-3hz"] == 244
    assert lengths["holley-dtz541"] == 684
    assert all(length < 700 for length in lengths.values())
