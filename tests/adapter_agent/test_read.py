"""`adapter-agent read`: one JSON object per reading and line, from a file, a device or standard input."""

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapter_agent.cli import main
from tests.adapter_agent.meter.build import energy, frame, get_list, telegram

IMPORT = "0100010800ff"
FIRST, SECOND = telegram(energy(IMPORT, 123456)), telegram(energy(IMPORT, 123466))
LINES = [
    {
        "meter_id": "1EMH0012345678",
        "server_id": "0A01454D480000BC614E",
        "registers": {"1-0:1.8.0*255": {"value": value, "unit": "Wh"}},
    }
    for value in ("12345.6", "12346.6")
]


def lines(text: str) -> list:
    return [json.loads(line) for line in text.splitlines()]


def agent(*arguments: str, **options) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "adapter_agent", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_a_file_gives_one_line_per_reading(tmp_path: Path, capsys):
    capture = tmp_path / "meter.bin"
    capture.write_bytes(b"noise" + FIRST + SECOND[:50] + SECOND)
    assert main(["read", "--interface", "sml", str(capture)]) == 0
    shown = capsys.readouterr()
    assert lines(shown.out) == LINES
    assert shown.err == "2 readings; refused: 1 cut\n"


def test_standard_input_is_read_as_it_comes():
    process = agent("read", "--interface", "sml", "-", stdin=subprocess.PIPE)
    process.stdin.write(FIRST)
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == LINES[0]  # before the stream ends
    rest, _ = process.communicate(SECOND, timeout=20)
    assert lines(rest.decode()) == LINES[1:]
    assert process.returncode == 0


def test_a_pseudo_terminal_is_read_as_a_serial_line_and_ends_with_the_other_side():
    master, slave = pty.openpty()
    # What a terminal would do to these bytes (echo, line ends, end of file) must not happen on a meter's line.
    meter = telegram(energy(IMPORT, int.from_bytes(b"\x04\x0d\x0a\x03\x11", "big")))
    process = agent("read", os.ttyname(slave))
    while not _raw(slave):
        assert process.poll() is None
        time.sleep(0.01)
    os.write(master, meter)
    assert json.loads(process.stdout.readline())["registers"]["1-0:1.8.0*255"]["value"] == "1739862913.7"
    os.close(slave)
    os.close(master)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_stream_without_a_reading_is_told_by_the_exit_code(tmp_path: Path, capsys):
    capture = tmp_path / "meter.bin"
    capture.write_bytes(frame(get_list(energy(IMPORT, 1), spoil=True)))
    assert main(["read", str(capture)]) == 1
    assert "1 sml_message_crc" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["/no/such/device", "/"])
def test_a_device_that_cannot_be_read_is_named(device, capsys):
    assert main(["read", device]) == 2
    assert device in capsys.readouterr().err


def test_an_unknown_interface_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["read", "--interface", "telepathy", "-"])
    assert leaving.value.code == 2
    assert "sml" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path):
    capture = tmp_path / "meter.bin"
    capture.write_bytes(FIRST * 2000)
    process = agent("read", str(capture))
    assert json.loads(process.stdout.readline()) == LINES[0]
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""


def _raw(terminal: int) -> bool:
    import termios

    return not termios.tcgetattr(terminal)[3] & termios.ICANON
