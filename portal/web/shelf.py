"""Values that take long to make, kept for a while: served stale while a thread makes the next one."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
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


class Shelf(Generic[K, T]):
    """Values by key, made by `make`, served stale while a slow one is made anew."""

    def __init__(self, make: Callable[[K], T], fresh_s: float = FRESH_S, first: Callable[[], T] | None = None) -> None:
        """`first` answers at once for a key that was never made; without it the first caller waits."""
        self._make, self._fresh_s, self._first = make, fresh_s, first
        self._rows: OrderedDict[K, tuple[float, float, T]] = OrderedDict()  # made at, took, value
        self._making: set[K] = set()
        self._lock = threading.Lock()

    def get(self, key: K) -> T:
        """The value of `key`, at most a little old."""
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                made, took, value = row
                if monotonic() - made < self._kept_s(took):
                    return value
                if took > QUICK_S:
                    self._refresh(key)
                    return value
            elif self._first is not None:
                self._refresh(key)
                return self._first()
        return self._store(key)

    def age(self, key: K) -> tuple[float, float]:
        """Seconds since the value of `key` began to be made, and after how many it is worth asking again."""
        with self._lock:
            row = self._rows.get(key)
        if row is None:
            return 0.0, SOON_S
        made, took, _value = row
        since = monotonic() - made
        return since + took, max(self._kept_s(took) - since, took) + SOON_S

    def forget(self, organisation: int | None = None) -> None:
        """Make the values of an organisation (None: of all) anew when they are asked for next."""
        with self._lock:
            for key in [k for k in self._rows if organisation in (None, k[0])]:
                del self._rows[key]

    def _kept_s(self, took: float) -> float:
        return max(self._fresh_s, min(LONGEST_S, PATIENCE * took) if took > QUICK_S else 0.0)

    def _store(self, key: K) -> T:
        began = monotonic()
        value = self._make(key)
        with self._lock:
            self._rows[key] = (monotonic(), monotonic() - began, value)
            self._rows.move_to_end(key)
            while len(self._rows) > MAX_KEPT:
                self._rows.popitem(last=False)
        return value

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
