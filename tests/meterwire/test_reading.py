"""A reading as JSON: exact decimals, ids or null, every register."""

import json
from decimal import Decimal

from meterwire.ids import MeterId
from meterwire.reading import Reading, RegisterValue


def test_a_reading_shows_exact_values_and_both_identities() -> None:
    meter = MeterId.parse("1EMH0012345678")
    reading = Reading(
        meter,
        meter.server_id(),
        {
            "1-0:1.8.0*255": RegisterValue(Decimal("12345.6"), "Wh", -1, status=0x182),
            "1-0:16.7.0*255": RegisterValue(Decimal(-250), "W", 0),
        },
        sensor_time=99,
    )
    assert reading.to_json() == {
        "meter_id": "1EMH0012345678",
        "server_id": "0A01454D480000BC614E",
        "registers": {
            "1-0:1.8.0*255": {"value": "12345.6", "unit": "Wh"},
            "1-0:16.7.0*255": {"value": "-250", "unit": "W"},
        },
    }


def test_large_and_small_values_have_no_exponent() -> None:
    registers = {
        "1-0:1.8.0*255": RegisterValue(Decimal("2324E+3"), "Wh", 3),
        "1-0:2.8.0*255": RegisterValue(Decimal("1E-10"), "Wh", -10),
    }
    shown = Reading(None, None, registers).to_json()["registers"]
    assert [entry["value"] for entry in shown.values()] == ["2324000", "0.0000000001"]


def test_what_is_missing_is_null_and_what_is_no_number_shows_its_octets() -> None:
    registers = {
        "1-0:1.8.0*255": RegisterValue(None, None, None),
        "1-0:96.1.0*255": RegisterValue(None, None, None, octets=b"EMH"),
    }
    shown = Reading(None, b"\x09", registers).to_json()
    assert json.loads(json.dumps(shown)) == {
        "meter_id": None,
        "server_id": "09",
        "registers": {
            "1-0:1.8.0*255": {"value": None, "unit": None},
            "1-0:96.1.0*255": {"value": None, "unit": None, "octets": "454d48"},
        },
    }
