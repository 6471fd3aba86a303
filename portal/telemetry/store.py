"""How a batch is written, and how what is already there is looked up; one Store per database engine."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from django.db import connection

from portal.telemetry.arrivals import Batch
from portal.telemetry.models import Telegram

# What an accepted telegram may exist once for: adapter, then (counter, -1) or (epoch, fcnt).
Key = tuple[int, int, int]
CHUNK = 400  # keys in one statement; the smallest limit of an engine is 32,766 parameters
T = TypeVar("T")


class Store(Protocol):
    """Speaks to one database engine, in the caller's transaction."""

    def known_ids(self, ids: Collection[str]) -> set[str]:
        """Those of `ids` under which a telegram is stored."""

    def known_payloads(self, keys: Collection[Key]) -> dict[Key, bytes]:
        """The payloads of the accepted telegrams that have one of `keys`."""

    def recovered(self, keys: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
        """Those of (adapter, counter) of which readings are stored that were recovered."""

    def write(self, batch: Batch) -> None:
        """Store all arrivals that are not `known`, with readings, adapter states and notes.

        Raises IntegrityError when one of them is there already.
        """


def open_store() -> Store:
    """The Store for the configured database: COPY on PostgreSQL, executemany elsewhere."""
    if connection.vendor == "postgresql":
        from portal.telemetry.store_postgres import PostgresStore

        return PostgresStore()
    from portal.telemetry.store_plain import PlainStore

    return PlainStore()


class Lookup:
    """The look-ups, the same for every engine."""

    def known_ids(self, ids: Collection[str]) -> set[str]:
        found: set[str] = set()
        for some in _chunks(ids):
            found.update(Telegram.objects.filter(pk__in=some).values_list("pk", flat=True))
        return found

    def known_payloads(self, keys: Collection[Key]) -> dict[Key, bytes]:
        found: dict[Key, bytes] = {}
        for some in _chunks([key for key in keys if key[2] < 0]):
            rows = _payloads("adapter_id, counter", "counter IS NOT NULL", [key[:2] for key in some])
            found.update({(adapter, counter, -1): bytes(payload) for adapter, counter, payload in rows})
        for some in _chunks([key for key in keys if key[2] >= 0]):
            rows = _payloads("adapter_id, epoch, fcnt", "counter IS NULL", some)
            found.update({(adapter, epoch, fcnt): bytes(payload) for adapter, epoch, fcnt, payload in rows})
        return found

    def recovered(self, keys: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
        found: set[tuple[int, int]] = set()
        columns = "adapter_id, counter"
        for some in _chunks(keys):
            rows = _rows(f"SELECT {columns} FROM telemetry_reading WHERE recovered", columns, some)  # noqa: S608
            found.update((adapter, counter) for adapter, counter in rows)
        return found


def _payloads(columns: str, condition: str, keys: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    query = f"SELECT {columns}, payload FROM telemetry_telegram WHERE error IS NULL AND {condition}"  # noqa: S608
    return _rows(query, columns, keys)


def _rows(query: str, columns: str, keys: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """What of a query has one of `keys`, each looked up by itself: lists per column would be read crosswise."""
    places = ", ".join(["(" + ", ".join(["%s"] * len(keys[0])) + ")"] * len(keys))
    with connection.cursor() as cursor:
        cursor.execute(f"{query} AND ({columns}) IN (VALUES {places})", [part for key in keys for part in key])
        rows: list[tuple[int, ...]] = cursor.fetchall()
    return rows


def _chunks(items: Collection[T]) -> Iterator[list[T]]:
    source = iter(items)
    while some := list(islice(source, CHUNK)):
        yield some
