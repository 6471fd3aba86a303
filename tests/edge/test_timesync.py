"""The kernel says whether its clock is kept right."""

import ctypes
import sys

import pytest

from edge.timesync import TIME_ERROR, HostClock, host_clock, host_synchronised


class Kernel:
    def __init__(self, state: int) -> None:
        self.state = state

    def adjtimex(self, buffer: object) -> int:
        assert bytes(buffer)[:4] == bytes(4)  # type: ignore[call-overload]  # modes 0: nothing is set
        return self.state


@pytest.mark.parametrize("state, expected", [(0, True), (1, True), (TIME_ERROR, False), (-1, False)])
def test_its_answer_is_read(monkeypatch: pytest.MonkeyPatch, state: int, expected: bool) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Kernel(state))
    assert host_synchronised() is expected


def test_where_it_cannot_be_asked_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert host_synchronised() is False


def test_here_it_answers_something() -> None:
    assert host_synchronised() in (True, False)


@pytest.mark.parametrize(
    "state, status, leap",
    [(0, 0, False), (1, 0, True), (2, 0, True), (0, 0x10, True), (0, 0x20, True), (3, 0x1, False)],
)
def test_an_announced_leap_second_is_read(monkeypatch: pytest.MonkeyPatch, state: int, status: int, leap: bool) -> None:
    class Announcing:
        def adjtimex(self, buffer: "ctypes.Array[ctypes.c_char]") -> int:
            at = ctypes.sizeof(ctypes.c_long) * 5  # modes, padded, and four longs
            buffer[at : at + 4] = status.to_bytes(4, sys.byteorder)  # type: ignore[assignment]
            return state

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Announcing())
    assert host_clock() == HostClock(True, leap)
