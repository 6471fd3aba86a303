"""The days on disk: a growing file of telegrams for each, later only their leaf hashes, then nothing."""

import os
from pathlib import Path
from typing import Final

from adapter_agent.daybook.log import MAX_BYTES, DayLog, Kept, records_of
from edge.sealedfile import replace
from meterwire.ids import DevEUI
from meterwire.signed_day import leaf

HASHES_S: Final = 14 * 86_400  # after its end a day's leaf hashes are kept so long
TELEGRAMS_S: Final = 48 * 3_600  # … and its telegrams so long
SYNC_S: Final = 60.0  # at most one flash write in that time; what is younger may be lost with the power
_LEAF: Final = 36


class DayFolder:
    """Days by number (meterwire.signed_day.day_number). Raises OSError where the disk does."""

    def __init__(self, folder: Path, dev_eui: DevEUI) -> None:
        self._folder, self._dev_eui = folder, dev_eui
        self._day = -1
        self._log: DayLog | None = None
        self._synced = float("-inf")

    def days(self) -> list[int]:
        """Of which anything is kept, the oldest first."""
        names = [path.stem for path in self._folder.glob("*.*") if path.suffix in (".telegrams", ".leaves")]
        return sorted({int(name) for name in names if name.isdecimal()})

    def last_counter(self, day: int) -> int:
        """The counter of the day's last telegram; -1 when there is none."""
        return self._opened(day).last

    def add(self, day: int, kept: Kept, now: float) -> bool:
        """Append to the day's file, durable at the latest SYNC_S later; False when the day is full.

        `now` is monotonic.
        """
        log = self._opened(day)
        if log.full:
            return False
        log.add(kept)
        if now - self._synced >= SYNC_S:
            log.sync()
            self._synced = now
        return True

    def telegrams(self, day: int) -> list[Kept]:
        """What was sent, in the order of the counters; nothing when it is not held any more."""
        try:
            content = self._path(day, "telegrams").read_bytes()
        except FileNotFoundError:
            return []
        return list(records_of(content[:MAX_BYTES]))

    def leaves(self, day: int) -> list[tuple[int, bytes]]:
        """(counter, leaf hash) of every telegram of the day."""
        held = self.telegrams(day)
        if held:
            return [(one.counter, leaf(self._dev_eui, one.counter, one.port, one.payload)) for one in held]
        try:
            content = self._path(day, "leaves").read_bytes()
        except FileNotFoundError:
            return []
        entries = [content[at : at + _LEAF] for at in range(0, len(content) - _LEAF + 1, _LEAF)]
        return [(int.from_bytes(entry[:4]), entry[4:]) for entry in entries]

    def fold(self, day: int, into: int, now: float) -> None:
        """The date of `day` was wrong: what was sent then belongs to the earlier day `into`, behind what is there.

        Where only hashes are left of it they go: they were signed already, and into no file of telegrams do they fit.
        """
        for kept in self.telegrams(day):
            if kept.counter > self.last_counter(into):
                self.add(into, kept, now)
        self.settle(into)
        self._forget(day)

    def settle(self, day: int) -> None:
        """The day is over: everything of it becomes durable, and its file is closed."""
        if self._day == day and self._log is not None:
            self._log.sync()
            self.close()

    def tidy(self, day: int, now_s: float) -> None:
        """Keep only the hashes of an older day's telegrams, and nothing of the oldest. `now_s` is Unix time."""
        age = now_s - (day + 1) * 86_400
        if age >= HASHES_S:
            self._forget(day)
        elif age >= TELEGRAMS_S and self._path(day, "telegrams").exists():
            entries = [counter.to_bytes(4) + digest for counter, digest in self.leaves(day)]
            replace(self._path(day, "leaves"), b"".join(entries))
            self._path(day, "telegrams").unlink()

    def unreadable(self, day: int) -> bool:
        """Whether the day's own file is at fault, and not the disk as a whole."""
        try:
            self.leaves(day)
        except OSError:
            return True
        return False

    def set_aside(self, day: int) -> None:
        """Keep the day's file under a name that counts for no day; the day may be begun anew."""
        if self._day == day:
            self.close()
        for kind in ("telegrams", "leaves"):
            path = self._path(day, kind)
            if path.exists():
                path.replace(path.with_suffix(f".{kind}-unreadable"))

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
        self._day, self._log = -1, None

    def _opened(self, day: int) -> DayLog:
        if self._log is None or self._day != day:
            self.close()
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._day, self._log = day, DayLog(self._path(day, "telegrams"))
            _sync_folder(self._folder)
            self._synced = float("-inf")
        return self._log

    def _forget(self, day: int) -> None:
        for kind in ("telegrams", "leaves"):
            self._path(day, kind).unlink(missing_ok=True)

    def _path(self, day: int, kind: str) -> Path:
        return self._folder / f"{day}.{kind}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
