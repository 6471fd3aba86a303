"""Real meters' telegrams: the decoder against what was read in them by eye, over every one in ../shared."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from adapter_agent.meter.d0 import D0Meter
from adapter_agent.meter.d0.datasets import datasets
from adapter_agent.meter.d0.frame import FrameScanner

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpora" / "d0"
EXPECTED = json.loads((CORPUS / "expected.json").read_text()) if CORPUS.is_dir() else {}
READ = {
    "emh_ehz_d0.txt": ("0000680476", {"1-0:1.8.1*255": "32942023.1"}),
    "lgz_zmd120.txt": (None, {"1-0:1.8.0*255": "1846000", "1-0:2.8.0*255": "4329600"}),
    "ace_260v_modeE.txt": ("1234567890123456", {"1-0:1.8.0*255": "285400", "1-0:2.8.0*255": "120100"}),
    "dsmr_esy5q3db1024_v304.txt": ("1ESY1313002565", {"1-0:1.8.0*255": "52185782.5309"}),
    "dsmr_v2_2.txt": (None, {"1-0:1.8.1*255": "1001"}),
    "dsmr_v4_2.txt": ("3960221976967177082151037881335713", {"1-0:31.7.0*255": "0", "1-0:51.7.0*255": "6"}),
    "dsmr_v5.txt": ("K8EG004046395507", {"1-0:32.7.0*255": "230.0", "1-0:71.7.0*255": "0.86"}),
    "dsmr_iskra_ie.txt": ("09610", {"1-0:2.8.2*255": "10282"}),
    "dsmr_fluvius_v171.txt": ("1SAG3101021605", {"1-0:1.8.2*255": "15758", "1-0:32.7.0*255": "234.7"}),
}

pytestmark = pytest.mark.skipif(
    not EXPECTED, reason="the captures of other people's meters are not in this copy (../shared)"
)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_data_set_is_found_and_every_check_judged(name):
    scanner, expected = FrameScanner(), EXPECTED[name]
    [frame] = scanner.feed((CORPUS / name).read_bytes()) + scanner.close()
    assert frame.identification == expected["identification"]
    found = [{"code": one.code, "values": list(one.values)} for one in datasets(frame.data)]
    assert found == expected["registers"]
    checks = [(kind, expected[key]) for kind, key in (("bcc", "bcc_ok"), ("crc", "crc16_ok")) if key in expected]
    assert ([(frame.check, frame.intact)] if frame.check else []) == checks


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_whole_is_read_and_what_is_not_is_refused(name):
    meter = D0Meter()
    readings = meter.feed((CORPUS / name).read_bytes()) + meter.close()
    if name not in READ:
        assert readings == []
        assert meter.refused == {"bcc": 1}
        return
    [reading] = readings
    identity, values = READ[name]
    assert reading.identification == identity
    for obis, value in values.items():
        assert reading.registers[obis].value == Decimal(value)


@pytest.mark.parametrize("name", EXPECTED)
def test_pieces_of_the_stream_give_the_same_readings(name):
    data = (CORPUS / name).read_bytes()
    whole, pieces = D0Meter(), D0Meter()
    readings = whole.feed(data) + whole.close()
    assert [r for at in range(len(data)) for r in pieces.feed(data[at : at + 1])] + pieces.close() == readings
    assert pieces.refused == whole.refused
