"""Fills a PostgreSQL database with a fleet of any size in seconds: made rows, in the tables of the real schema."""

from dataclasses import dataclass
from pathlib import Path

from django.db import connection

PERIOD_SECONDS = 900
ADAPTERS_PER_SITE = 100
TELEGRAMS_PER_ADAPTER = 6


@dataclass(frozen=True)
class Fleet:
    """What to make: `readings` are spread evenly, two registers per telegram, newest a moment ago."""

    adapters: int
    readings: int

    @property
    def counters(self) -> int:
        return self.readings // self.adapters // 2


def fill(fleet: Fleet, organisation: int) -> None:
    """Sites, concentrators, adapters, meters, pairings, status, readings, roll-ups and the newest telegrams.

    The organisation must exist. Constraints of the big tables are dropped for the load and made again after it.
    """
    sql = Path(__file__).with_name("fleet.sql").read_text()
    values = {
        "organisation": organisation,
        "adapters": fleet.adapters,
        "sites": -(-fleet.adapters // ADAPTERS_PER_SITE),
        "per_site": ADAPTERS_PER_SITE,
        "counters": fleet.counters,
        "telegrams": TELEGRAMS_PER_ADAPTER,
        "period": PERIOD_SECONDS,
    }
    with connection.cursor() as cursor:
        for name, value in values.items():
            sql = sql.replace(f":{name}:", str(value))
        for statement in sql.split(";\n"):
            if statement.strip():
                cursor.execute(statement)
