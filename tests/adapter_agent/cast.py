"""One adapter that the tests share: its identity, keys, meter readings, and a place for its state."""

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from meterwire.ids import DevEUI, JoinEUI, meter_id_of
from meterwire.reading import Reading, RegisterValue
from meterwire.seal import InnerKey, ValuesOpener, parse_values

DEV_EUI, JOIN_EUI = DevEUI.parse("70b3d57ed0061234"), JoinEUI.parse("70b3d57ed0000001")
ROOT_KEY = bytes(range(16))
INNER_KEY = bytes(range(16, 32))
SERVER_ID = bytes.fromhex("0a01454d480000bc614e")
BEGIN = 1_767_225_600.0  # 2026-01-01, where ManualClock starts


def hand_over(**changes) -> dict:
    """What the portal writes; a change to None leaves the field out."""
    key = {
        "slot": 1,
        "key": INNER_KEY.hex(),
        "tag_length": 4,
        "purpose": "inner",
        "partner": "portal",
        "not_before": iso(BEGIN - 3600),
        "not_after": iso(BEGIN + 365 * 86_400),
    }
    content = {
        "dev_eui": str(DEV_EUI),
        "join_eui": str(JOIN_EUI),
        "root_key": ROOT_KEY.hex(),
        "inner_keys": [key],
        **changes,
    }
    return {name: value for name, value in content.items() if value is not None}


def write_hand_over(path: Path, mode: int = 0o600, **changes) -> Path:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "w") as file:
        json.dump(hand_over(**changes), file)
    path.chmod(mode)
    return path


def iso(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat()


def reading(**registers: str) -> Reading:
    """For example `reading(i180="12345.6")`: i = 1-0:, then C D E."""
    units = {"8": "Wh", "7": "W"}
    return Reading(
        meter_id_of(SERVER_ID),
        SERVER_ID,
        {obis(name): RegisterValue(Decimal(value), units[name[-2]], -1) for name, value in registers.items()},
    )


def obis(name: str) -> str:
    return f"1-0:{name[1:-2]}.{name[-2]}.{name[-1]}*255"


def opened(payload: bytes, counter: int, key: bytes = INNER_KEY, tag_length: int = 4) -> dict[int, int]:
    """Register number to integer of a telegram, which must be authentic."""
    assert parse_values(payload).counter_low == counter & 0xFFFF
    opener = ValuesOpener(InnerKey(key, tag_length), DEV_EUI)
    return {value.register: value.value for value in opener.open(payload, counter)}
