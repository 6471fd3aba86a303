"""Finds the line of a key in TOML text, because the parser of the standard library forgets lines."""

import re
from collections.abc import Sequence

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def line_of(text: str, steps: Sequence[str | int]) -> int:
    """1-based line of the key path `steps` (names, and positions in arrays of tables); its nearest parent if absent."""
    best, best_length = 1, 0
    seen: dict[str, int] = {}
    table: list[str | int] = []
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            names = _names(header[2])
            if header[1] == "[[":
                position = seen.get(header[2], -1) + 1
                seen[header[2]] = position
                table = [*names, position]
            else:
                table = [*names]
            found: list[str | int] = table
        else:
            key = _KEY.match(line)
            if not key:
                continue
            found = [*table, *_names(key[1])]
        length = _common(found, steps)
        if length > best_length and length >= len(found):
            best, best_length = number, length
    return best


def _names(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _common(found: Sequence[str | int], wanted: Sequence[str | int]) -> int:
    length = 0
    for one, other in zip(found, wanted, strict=False):
        if one != other:
            break
        length += 1
    return length
