"""How much work something is, told by no clock: the same on every machine, however busy it is."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


def steps(work: Callable[[], T]) -> tuple[T, int]:
    """What `work` returns, and how many lines of Python it ran in this thread."""
    lines = 0

    def line(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return line

    before = sys.gettrace()
    sys.settrace(lambda _frame, _event, _argument: line)
    try:
        result = work()
    finally:
        sys.settrace(before)
    return result, lines


def within(most: int, work: Callable[[], T]) -> T:
    """What `work` returns; it must not run more than `most` lines of Python."""
    result, lines = steps(work)
    assert lines <= most, f"{lines:,} lines of Python, expected {most:,} at most"
    return result
