"""Values that take long to make, kept for a while: served stale while a thread makes the next one."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, connection

logger = logging.getLogger(__name__)

FRESH_S = 1.0
PATIENCE = 60  # a value serves this many times as long as it took to make …
LONGEST_S = 60.0  # … but no longer: somebody is looking at it, and a busy moment may have made it slow
QUICK_S = 0.05  # what takes longer is made behind the scenes
SOON_S = 0.5  # asking for a newer value sooner brings nothing
MAX_KEPT = 256
_ONE_AT_A_TIME = threading.Lock()  # counting must not crowd out the pages

K = TypeVar("K", bound=tuple[int, *tuple[Any, ...]])  # the organisation comes first
T = TypeVar("T")


@dataclass(slots=True)
class Shown:
    """The oldest of what one answer shows: when it began to be made, and when a newer one can be had (`monotonic`)."""

    oldest: tuple[float, float] | None = None

    def note(self, since: float, again: float) -> None:
        """One more value is shown."""
        if self.oldest is None or since < self.oldest[0]:
            self.oldest = since, again

    def age(self) -> tuple[float, float] | None:
        """Seconds since it began to be made, and after how many it is worth asking again; None: nothing is shown."""
        if self.oldest is None:
            return None
        since, again = self.oldest
        now = monotonic()
        return now - since, max(again - now, 0.0) + SOON_S


_shown: ContextVar[Shown | None] = ContextVar("shown", default=None)


@contextmanager
def watched() -> Iterator[Shown]:
    """What is taken from shelves of which pages are told, here and in what is called from here, is noted."""
    noted = Shown()
    token = _shown.set(noted)
    try:
        yield noted
    finally:
        _shown.reset(token)


def shown_s() -> float:
    """How old the oldest is of what was noted so far; 0 where nothing is."""
    shown = _shown.get()
    age = shown.age() if shown is not None else None
    return age[0] if age is not None else 0.0


class Shelf(Generic[K, T]):
    """Values by key, made by `make`, served stale while a slow one is made anew."""

    def __init__(
        self,
        make: Callable[[K], T],
        fresh_s: float = FRESH_S,
        first: Callable[[], T] | None = None,
        told: bool = False,
    ) -> None:
        """`first` answers at once for a key that was never made; without it the first caller waits.

        `told`: what the stream tells changes these values, so a page must know how old those are that it shows.
        """
        self._make, self._fresh_s, self._first, self._told = make, fresh_s, first, told
        self._rows: OrderedDict[K, tuple[float, float, T]] = OrderedDict()  # made at, took, value
        self._making: set[K] = set()
        self._forgotten: dict[int | None, float] = {}  # when; by organisation, None: all of them
        self._outdated: set[K] = set()  # made while something was changed: served, but at once made anew
        self._lock = threading.Lock()

    def get(self, key: K) -> T:
        """The value of `key`, at most a little old."""
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                made, took, value = row
                due = made + (0.0 if key in self._outdated else self._kept_s(took))
                fresh = monotonic() < due
                if fresh or took > QUICK_S:
                    if not fresh:
                        self._refresh(key)
                    self._note(made - took, max(due, monotonic() + took))
                    return value
            elif self._first is not None:
                self._refresh(key)
                self._note(0.0, 0.0)
                return self._first()
        made, took, value = self._store(key)
        self._note(made - took, made + self._kept_s(took))
        return value

    def forget(self, organisation: int | None = None) -> None:
        """Make the values of an organisation (None: of all) anew when they are asked for next."""
        with self._lock:
            self._forgotten[organisation] = monotonic()
            for key in [k for k in self._rows if organisation in (None, k[0])]:
                del self._rows[key]
                self._outdated.discard(key)

    def _note(self, since: float, again: float) -> None:
        """Of the value that is handed out: a thread may have put another one in its place before the answer leaves."""
        shown = _shown.get() if self._told else None
        if shown is not None:
            shown.note(since, again)

    def _kept_s(self, took: float) -> float:
        return max(self._fresh_s, min(LONGEST_S, PATIENCE * took) if took > QUICK_S else 0.0)

    def _store(self, key: K) -> tuple[float, float, T]:
        began = monotonic()
        value = self._make(key)
        made = monotonic()
        row = made, made - began, value
        with self._lock:
            self._outdated.discard(key)
            if any(self._forgotten.get(whose, began) > began for whose in (key[0], None)):
                self._outdated.add(key)
            self._rows[key] = row
            self._rows.move_to_end(key)
            while len(self._rows) > MAX_KEPT:
                self._outdated.discard(self._rows.popitem(last=False)[0])
        return row

    def _refresh(self, key: K) -> None:
        if key not in self._making:
            self._making.add(key)
            threading.Thread(target=self._behind, args=(key,), name="snapshot", daemon=True).start()

    def _behind(self, key: K) -> None:
        try:
            with _ONE_AT_A_TIME:
                self._store(key)
        except DatabaseError as error:
            logger.warning("kept the last value, the next one could not be made: %s", error)
        finally:
            connection.close()  # this thread's own
            with self._lock:
                self._making.discard(key)
