"""A simulated meter's pseudo-terminal behaves like a serial line: readers come and go, nobody blocks."""

import array
import fcntl
import os
import select
import termios
import time
from pathlib import Path

import pytest
import serial

from adapter_agent.simulation.lines import UART_BUFFER, FileLine, PseudoTerminal


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


def received(fd: int, count: int) -> bytes:
    """Exactly `count` octets and nothing behind them; the kernel hands them over a moment after they were written."""
    data = b""
    while len(data) < count and select.select([fd], [], [], 60.0)[0]:
        data += os.read(fd, count - len(data))
    assert not select.select([fd], [], [], 0.02)[0]
    return data


def waiting(fd: int) -> int:
    number = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, number)
    return number[0]


def test_every_octet_passes_unchanged(tmp_path: Path) -> None:
    with PseudoTerminal(tmp_path / "meter") as line:
        reader = opened(tmp_path / "meter")
        line.write(bytes(range(256)))
        assert received(reader, 256) == bytes(range(256))
        os.close(reader)


def test_the_line_is_9600_8n1_and_raw(tmp_path: Path) -> None:
    with PseudoTerminal(tmp_path / "meter"):
        reader = opened(tmp_path / "meter")
        attributes = termios.tcgetattr(reader)
        assert attributes[4] == attributes[5] == termios.B9600
        assert attributes[2] & termios.CSIZE == termios.CS8
        assert not attributes[2] & (termios.PARENB | termios.CSTOPB)
        assert not attributes[3] & (termios.ICANON | termios.ECHO)
        os.close(reader)


def test_pyserial_reads_it(tmp_path: Path) -> None:
    with PseudoTerminal(tmp_path / "meter") as line:
        with serial.Serial(str(tmp_path / "meter"), 9600, timeout=5) as port:
            line.write(b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01")
            assert port.read(8) == b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01"
            port.write(b"/?!\r\n")
        line.write(b"after")


def test_writing_never_blocks_when_nobody_reads(tmp_path: Path) -> None:
    with PseudoTerminal(tmp_path / "meter") as line:
        for number in range(3000):
            line.write(bytes((number % 256,)) * 64)


def test_what_nobody_read_is_lost_as_at_a_serial_port(tmp_path: Path) -> None:
    with PseudoTerminal(tmp_path / "meter") as line:
        reader = opened(tmp_path / "meter")
        for _ in range(100):
            before = waiting(reader)
            line.write(bytes(64))
            deadline = time.monotonic() + 5
            while waiting(reader) in (0, before) and time.monotonic() < deadline:
                pass  # until the kernel has handed it over
            assert 0 < waiting(reader) <= UART_BUFFER + 64
        os.close(reader)


def test_a_reader_may_go_away_and_another_one_come(tmp_path: Path) -> None:
    with PseudoTerminal(tmp_path / "meter") as line:
        for word in (b"first", b"second"):
            reader = opened(tmp_path / "meter")
            termios.tcflush(reader, termios.TCIFLUSH)
            line.write(word)
            assert received(reader, len(word)) == word
            os.close(reader)
            line.write(b"to nobody")


def test_what_a_reader_sends_is_swallowed_without_an_echo(tmp_path: Path) -> None:
    with PseudoTerminal(tmp_path / "meter") as line:
        reader = opened(tmp_path / "meter")
        for _ in range(500):
            try:
                os.write(reader, b"hello" * 20)
            except BlockingIOError:
                line.write(b"")
        line.write(b"still talking")
        assert received(reader, 13) == b"still talking"
        os.close(reader)


def test_the_name_is_stable_and_goes_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "run" / "meter"
    first = PseudoTerminal(path)
    second = PseudoTerminal(path)  # a restart while the old link still stands
    assert os.readlink(path) == second.device != first.device
    first.close()
    assert path.is_symlink()
    second.close()
    assert not path.is_symlink()
    second.close()
    second.write(b"closed lines take everything")


def test_a_reader_sees_the_end_of_a_closed_line(tmp_path: Path) -> None:
    line = PseudoTerminal(tmp_path / "meter")
    reader = opened(tmp_path / "meter")
    line.close()
    try:
        assert os.read(reader, 10) == b""
    except OSError:
        pass  # EIO: the other way in which a line says that it was hung up
    os.close(reader)


def test_a_place_that_cannot_hold_a_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        PseudoTerminal(tmp_path / "file" / "meter")


def test_a_file_grows(tmp_path: Path) -> None:
    for word in (b"one", b"two"):
        line = FileLine(tmp_path / "meter.bin")
        line.write(word)
        line.close()
    assert (tmp_path / "meter.bin").read_bytes() == b"onetwo"
