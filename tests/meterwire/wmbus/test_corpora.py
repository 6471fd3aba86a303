"""Other people's telegrams (../shared) and foreign decoders: pymbusparser 0.5.3 and pyMeterBus 0.8.5."""

import json
from decimal import Decimal
from pathlib import Path

import meterbus
import pymbusparser
import pytest

from meterwire.wmbus import decode_long, decode_records, decode_upper, reading_of
from meterwire.wmbus.quantities import Quantity, meaning_of
from tests.meterwire.wmbus.vectors import KEY, VECTORS, WIRED

CORPORA = Path(__file__).parents[3].parent / "shared" / "corpora"
ALL = sorted((CORPORA / "mbus").glob("*.hex"))
VARIABLE = "72"  # CI-field; the one capture of the old fixed structure (73) is not read
FRAMES = [path.name for path in ALL if path.read_text()[12:14] == VARIABLE]
EXTENDED = 0x7B  # from here on VIFs are extensions, texts or the maker's own
KINDS = {Quantity.ENERGY: ("ENERGY_WH", "ENERGY_J"), Quantity.POWER: ("POWER_W",), Quantity.VOLUME: ("VOLUME",)}

corpus = pytest.mark.skipif(not FRAMES, reason="the captures of other people's meters are not in this copy (../shared)")


@pytest.mark.parametrize(("name", "frame", "key"), [row[:3] for row in VECTORS if "short header" in row[0]][:1])
def test_pymbusparser_opens_mode_5_to_the_same_records(name, frame, key):
    theirs = pymbusparser.parse(frame, key=bytes.fromhex(key))["records"]
    assert [row["header_hex"] for row in theirs] == ["0E 03", "0E 83 3C", "04 2B"]
    assert [Decimal(row["value"]["value"]) for row in theirs] == [12_345_678, 960_123, -1_500]


def test_pymbusparser_opens_a_wired_telegram_to_the_same_records():
    theirs = pymbusparser.parse(WIRED[0], key=bytes.fromhex(KEY))["records"]
    ours = decode_records(bytes.fromhex(WIRED[1]))
    assert [bytes.fromhex(row["data_hex"]) for row in theirs] == [record.data for record in ours]


@corpus
@pytest.mark.parametrize("name", FRAMES)
def test_pymeterbus_finds_the_same_numbers(name):
    octets = bytes.fromhex((CORPORA / "mbus" / name).read_text())
    upper = decode_upper(decode_long(octets).upper)
    ours = decode_records(upper.data)
    theirs = json.loads(meterbus.load(octets).to_JSON())["body"]["records"]
    for kind, units in KINDS.items():
        judged = [Decimal(row["value"]) for row in theirs if row["type"].removeprefix("VIFUnit.") in units]
        found = [
            meaning.value(record.number) * meaning.divisor
            for record in ours
            if record.vif[0] & 0x7F < EXTENDED and record.number is not None
            if (meaning := meaning_of(record.vif[:1])) and meaning.quantity is kind
        ]
        assert [float(value) for value in found] == pytest.approx([float(value) for value in judged])


@corpus
@pytest.mark.parametrize("name", FRAMES)
def test_every_capture_gives_a_reading(name):
    octets = bytes.fromhex((CORPORA / "mbus" / name).read_text())
    upper = decode_upper(decode_long(octets).upper)
    reading = reading_of(decode_records(upper.data), upper.address, wired=True)
    assert all(entry.value.is_finite() for entry in reading.registers.values())
