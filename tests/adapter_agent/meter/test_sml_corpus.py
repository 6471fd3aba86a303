"""Real meters' bytes: the decoder against libsml's results and against pysml, over every capture in ../shared."""

import json
from pathlib import Path

import pytest

from adapter_agent.meter.sml import SmlMeter
from adapter_agent.meter.sml.decoder import decode
from adapter_agent.meter.sml.frame import FrameScanner
from adapter_agent.meter.sml.message import meter_lists
from adapter_agent.meter.sml.tlv import Number

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpora" / "sml"
EXPECTED = json.loads((CORPUS / "expected.json").read_text()) if CORPUS.is_dir() else {}

pytestmark = pytest.mark.skipif(
    not EXPECTED, reason="the captures of other people's meters are not in this copy (../shared)"
)


@pytest.mark.parametrize("name", EXPECTED)
def test_frames_are_found_where_they_are_and_damaged_ones_counted(name):
    scanner = FrameScanner()
    frames = scanner.feed((CORPUS / name).read_bytes())
    scanner.close()
    expected = EXPECTED[name]
    assert [(frame.offset, frame.length, frame.crc.value) for frame in frames] == [
        (frame["offset"], frame["length"], frame["transport_crc"]) for frame in expected["frames"]
    ]
    assert scanner.refused.total() == expected["damaged_or_cut_frames"]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_entry_is_read_as_expected(name):
    frames = FrameScanner().feed((CORPUS / name).read_bytes())
    for frame, expected in zip(frames, EXPECTED[name]["frames"], strict=True):
        [meter] = meter_lists(frame.payload)
        assert meter.server_id.hex() == expected["server_id"]
        assert (meter.list_name and meter.list_name.hex()) == expected["list_name"]
        assert meter.sensor_time == expected["act_sensor_time"]
        for entry, wanted in zip(meter.entries, expected["entries"], strict=True):
            fields = (entry.obis, entry.status, entry.unit, entry.scaler)
            assert fields == (wanted["obis"], wanted.get("status"), wanted.get("unit"), wanted.get("scaler"))
            if "octets" in wanted:
                assert entry.value == bytes.fromhex(wanted["octets"])
            else:
                assert isinstance(entry.value, Number)
        [reading] = decode(frame)
        assert reading.to_json()["registers"] == {
            entry["obis"]: {"value": entry["value"], "unit": entry.get("unit_name")}
            for entry in expected["entries"]
            if "value" in entry
        }


@pytest.mark.parametrize("name", EXPECTED)
def test_pieces_of_the_stream_give_the_same_readings(name):
    data = (CORPUS / name).read_bytes()
    whole, pieces = SmlMeter(), SmlMeter()
    readings = whole.feed(data)
    assert [reading for at in range(0, len(data), 7) for reading in pieces.feed(data[at : at + 7])] == readings
    assert pieces.refused == whole.refused


@pytest.mark.parametrize("name", [name for name in EXPECTED if "kermit" not in name])
def test_pysml_reads_the_same(name):
    """An independent decoder (pysml 0.1.9). It knows no KERMIT checksum and calculates in floats."""
    data = (CORPUS / name).read_bytes()
    readings = SmlMeter().feed(data)
    theirs = list(pysml_lists(data))
    assert len(theirs) == len(readings)
    for judge, ours in zip(theirs, readings, strict=True):
        numbers = {
            entry["objName"]: (entry["value"], entry.get("unit"))
            for entry in judge["valList"]
            if isinstance(entry.get("value"), int | float)
        }
        assert numbers.keys() == ours.registers.keys()
        for obis, (value, unit) in numbers.items():
            assert float(ours.registers[obis].value) == pytest.approx(value, rel=1e-12)
            assert ours.registers[obis].unit == ("deg" if unit == "°" else unit)


def pysml_lists(data):
    from sml import SmlBase, SmlGetListResponse

    while True:
        end, frame = SmlBase.find_frame(data)
        if frame is None:
            return
        yield from (
            message["messageBody"] for message in frame if isinstance(message["messageBody"], SmlGetListResponse)
        )
        data = data[end:]
