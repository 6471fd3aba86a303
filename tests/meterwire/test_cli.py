"""The `meterwire` command: one JSON object and 0, or a sentence and 2; keys are never repeated."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meterwire.cli import main
from tests.meterwire.vectors import load

VECTOR = load("values_telegrams")
KEY, DEVICE, SEALED = VECTOR["key"], VECTOR["dev_eui"], VECTOR["telegrams"][0]["bytes"]

Output = pytest.CaptureFixture[str]


def answer(output: Output, *arguments: str) -> dict[str, Any]:
    assert main(["explain", *arguments]) == 0
    captured = output.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    found: dict[str, Any] = json.loads(captured.out)
    return found


def refusal(output: Output, *arguments: str) -> str:
    try:
        code = main(["explain", *arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = output.readouterr()
    assert (code, captured.out) == (2, "")
    assert captured.err
    return captured.err


def test_a_sealed_telegram_is_opened(capsys: Output) -> None:
    found = answer(capsys, "--port", "16", "--dev-eui", DEVICE.upper(), "--key", KEY, "--last-counter", "75390", SEALED)
    assert found["registers"]["1-0:1.8.0"] == {"value": "56841020", "unit": "Wh"}
    assert (found["counter"], found["key_slot"], found["authentic"]) == (75391, 1, True)


def test_numbers_may_be_hexadecimal_and_options_follow_the_text(capsys: Output) -> None:
    assert answer(capsys, SEALED, "--last-counter=0x1267e", "--port=0x10")["counter"] == 75391


def test_a_whole_frame_takes_the_session_keys(capsys: Output) -> None:
    found = answer(
        capsys,
        "--nwk-s-key",
        "02" * 16,
        "--app-s-key",
        "01" * 16,
        "--fcnt-high",
        "1",
        "a00403020180ff2a2a0af1a36a05d0125f885d881d49e1",
    )
    assert (found["mic_ok"], found["content"]["text"]) == (True, "hello lora")


def test_a_key_is_read_from_a_file(capsys: Output, tmp_path: Path) -> None:
    file = tmp_path / "inner.key"
    file.write_text(f"{KEY}\n", encoding="ascii")
    assert answer(capsys, "--dev-eui", DEVICE, "--key", f"@{file}", SEALED)["authentic"] is True
    assert "cannot be read: No such file" in refusal(capsys, "--key", f"@{file}.missing", SEALED)
    file.write_bytes(b"\xff\xfe" * 8)
    assert "it is no text" in refusal(capsys, "--key", f"@{file}", SEALED)


def test_the_text_is_read_from_standard_input(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1EMH0012345678\n")))
    assert answer(capsys, "-")["meter_id"] == "1EMH0012345678"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe\x00")))
    refusal(capsys, "-")


def test_what_cannot_be_read_is_one_sentence_on_standard_error(capsys: Output) -> None:
    assert refusal(capsys, "41373559242").startswith("meterwire: the check digit of MaLo-ID 41373559242 is wrong")
    assert refusal(capsys, "\x1b[31mred").startswith("meterwire: '?[31mred'")


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--port", "300", SEALED], "0 to 255"),
        (["--port", "sixteen", SEALED], "--port takes a whole number"),
        (["--last-counter", "-1", SEALED], "--last-counter"),
        (["--last-counter", "4294967296", SEALED], "0 to 4294967295"),
        (["--fcnt-high", "1.5", SEALED], "--fcnt-high takes a whole number"),
        (["--dev-eui", "70B3", SEALED], "16 hex digits"),
        (["--key", "00", SEALED], "--key: a key is written as 32 hex digits"),
        ([], "TEXT"),
    ],
)
def test_a_wrong_option_is_named(capsys: Output, arguments: list[str], cause: str) -> None:
    assert cause in refusal(capsys, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dev-eui", DEVICE, "--key", KEY[::-1], SEALED],
        ["--key", KEY + "0", SEALED],
        ["--key", KEY[:-1] + "x", SEALED],
        ["--ke", KEY, SEALED],
        ["--keys", KEY, SEALED],
        [f"--nwk={KEY}", SEALED],
        [SEALED, KEY],
        ["--nwk-s-key", KEY, "--app-s-key", KEY, "40F17DBE4900020001954378762B11FF0D"],
    ],
)
def test_no_refusal_repeats_a_key(capsys: Output, arguments: list[str]) -> None:
    error = refusal(capsys, *arguments)
    assert KEY[:16] not in error
    assert KEY[::-1][:16] not in error


def test_help_and_version_are_where_people_look(capsys: Output) -> None:
    for arguments in (["--help"], ["-h"], ["explain", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
        assert "meterwire" in capsys.readouterr().out


def test_a_missing_or_unknown_command_is_refused(capsys: Output) -> None:
    for arguments in ([], ["explian", SEALED]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        assert "usage: meterwire" in capsys.readouterr().err


def test_it_runs_as_a_module() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "meterwire", "explain", "70B3D57ED0061234"], capture_output=True, check=False, text=True
    )
    assert (run.returncode, json.loads(run.stdout)["kind"], run.stderr) == (0, "EUI-64", "")
