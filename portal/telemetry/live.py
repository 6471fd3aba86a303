"""What open pages are told after a commit: JSON lists on the Redis channel of the organisation."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

MAX_CHANGES = 200  # per organisation and batch; beyond that a page had better ask anew

_encoder = msgspec.json.Encoder()


def channel(organisation: int) -> str:
    """The Redis channel of an organisation."""
    return f"mspan:org:{organisation}"


@dataclass
class Changes:
    """Changed things by organisation; the same thing twice counts once."""

    _found: dict[int, dict[tuple[str, int | None, int | None], str | None]] = field(default_factory=dict)

    def add(self, organisation: int, kind: str, adapter: int | None, concentrator: int | None, at: str | None) -> None:
        """`kind` is reading, status, event or concentrator."""
        found = self._found.setdefault(organisation, {})
        if len(found) <= MAX_CHANGES:
            found[kind, adapter, concentrator] = at

    def messages(self) -> list[tuple[str, bytes]]:
        """(channel, body); too many changes become one of kind `many`."""
        return [(channel(organisation), _encoder.encode(_rows(found))) for organisation, found in self._found.items()]


def _rows(found: dict[tuple[str, int | None, int | None], str | None]) -> list[dict[str, Any]]:
    if len(found) > MAX_CHANGES:
        return [{"kind": "many"}]
    rows = []
    for (kind, adapter, concentrator), at in found.items():
        row = {"kind": kind, "adapter": adapter, "concentrator": concentrator, "at": at}
        rows.append({name: value for name, value in row.items() if value is not None})
    return rows
