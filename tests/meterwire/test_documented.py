"""What docs/formats.md tells integrators is what the code does."""

import json
import re
import shlex
from pathlib import Path

import pytest

from meterwire import config_records
from meterwire.cli import main
from meterwire.identity import identity_hash
from meterwire.ids import DevEUI
from meterwire.messages import decode_telegrams
from meterwire.registers import REGISTERS
from meterwire.scan import Kind
from tests.meterwire.vectors import load

TEXT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ meterwire (.+)\n(\{.+\})$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[shown[:30] for _, shown in COMMANDS])
def test_the_commands_print_what_is_shown(command: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(shown)


def test_there_are_commands_to_try() -> None:
    assert len(COMMANDS) == 5


def test_the_message_shown_is_a_valid_one() -> None:
    shown, _ = documented_json()
    (telegram,) = decode_telegrams(shown.encode()).telegrams
    assert telegram.payload.hex() == load("values_telegrams")["telegrams"][0]["bytes"]


def test_the_opened_value_shown_is_the_one_in_the_message_shown() -> None:
    shown, opened = map(json.loads, documented_json())
    (telegram,), (value,) = shown["telegrams"], opened["values"]
    assert [opened[name] for name in ("id", "dev_eui", "counter")] == [
        telegram[name] for name in ("id", "dev_eui", "counter")
    ]
    register = next(register for register in REGISTERS.values() if register.obis == value["obis"])
    assert (value["name"], value["unit"], value["value"]) == (register.name, register.unit, 56_841_020)


def documented_json() -> list[str]:
    return re.findall(r"^```json\n(.+?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_dictionary_shown_is_the_one_in_use() -> None:
    cells = re.findall(r"(\d+) \| ([\d-]+:[\d.]+) \| (\S*) ?\| (1|0\.\d+)(, signed)? \|", TEXT)
    assert len(cells) == 30
    for index, obis, unit, resolution, signed in cells:
        register = REGISTERS[int(index)]
        assert (register.obis, register.unit, register.signed) == (obis, unit, bool(signed))
        assert f"{register.quantity(1):f}" == resolution


def test_the_vectors_shown_are_those_of_the_tests() -> None:
    for vector in load("values_telegrams")["telegrams"][1:]:
        assert vector["bytes"] in TEXT


def test_the_configuration_telegrams_shown_are_readable_and_name_every_record() -> None:
    shown = re.findall(r"`(\d{4} \d\d \d\d · [0-9a-f ·]+)`", TEXT)
    assert len(shown) == 5
    for telegram in shown:
        part = config_records.decode(bytes.fromhex(telegram.replace("·", "")))
        assert not any(isinstance(record, config_records.UnknownRecord) for record in part.records)
    assert all(f"| 0x{kind:02X} |" in TEXT for kind in config_records.RECORDS)


def test_the_identity_hash_shown_is_right() -> None:
    value = identity_hash(DevEUI.parse("70B3D57ED0061234"), 0, bytes.fromhex("0A01454D480000BC614E"))
    assert f"gives `{value:08x}`" in TEXT


def test_every_kind_and_code_of_a_scan_is_named() -> None:
    section = TEXT.partition("## Raw scans")[2].partition("\n## ")[0]
    assert all(f"`{kind}`" in section for kind in Kind)
    assert {case["code"] for case in load("scans")} <= set(re.findall("`([a-z_]+)`", section))
