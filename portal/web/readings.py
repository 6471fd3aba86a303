"""Reads for the readings page: the newest value of one register for a page of meters, and the export of a range."""

import csv
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from heapq import merge
from io import StringIO
from itertools import groupby, islice
from operator import itemgetter

from asgiref.sync import sync_to_async
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from meterwire.errors import MeterspanError
from meterwire.registers import REGISTERS, register_number, split_number
from portal.telemetry.models import HourRollup, Reading
from portal.telemetry.sealed_asking import MAX_VALUES, has_sealed
from portal.web import registers
from portal.web.adapters import reads_of
from portal.web.figures import day_of
from portal.web.registers import Shown
from portal.web.sealed import Opening
from provisioning.fleet.models import Adapter, MeteringPoint
from provisioning.pairing.models import Pairing

MAX_ROWS = 1_000_000  # per export; who needs more uses the API
CHUNK = 2000
MAX_DAYS = 400
CHOICES = [n for n in REGISTERS if n != 27]

# Register, time, stored integer or None while sealed; of an hour also mean, least, greatest and how many, of a single
# value whether its telegram was lost and the next one told it.
Row = tuple[int, datetime, int | None, tuple[float | int, ...]]


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest value of the chosen register of one adapter."""

    adapter: Adapter
    meter: str
    place: str
    at: datetime | None
    value: str
    sealed: bool


def newest(rows: QuerySet[Adapter], register: int) -> QuerySet[Adapter]:
    """The adapters with `reading_at` and `reading_value` of the register; one index look-up each."""
    last = Reading.objects.filter(adapter=OuterRef("pk"), register=register).order_by("-measured_at")
    return rows.annotate(
        reading_at=Subquery(last.values("measured_at")[:1]), reading_value=Subquery(last.values("value")[:1])
    )


def as_newest(rows: list[Adapter], shown: Shown) -> list[Newest]:
    """Lines of the page."""
    input_ = split_number(shown.number)[1]
    reads = reads_of(rows)
    found = []
    for row in rows:
        here = next((r for r in reads.get(row.pk, []) if r.input == input_), None)
        at, value = row.reading_at, row.reading_value  # type: ignore[attr-defined]
        found.append(
            Newest(
                row,
                here.meter if here else "",
                here.place if here else row.location,
                at,
                shown.quantity(value),
                at is not None and value is None,
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Export:
    """What to export: adapters, the register numbers of input 0 (empty: all), from and to, single values or hours.

    Sealed values stay empty, or are opened with `opening`.
    """

    adapters: tuple[int, ...]
    registers: tuple[int, ...]
    start: datetime
    end: datetime
    hourly: bool
    opening: Opening | None = None


def window(first: date | None, last: date | None) -> tuple[datetime, datetime]:
    """From the beginning of the first day to the end of the last, at most MAX_DAYS; the newest seven by default."""
    now = timezone.now()
    end = day_of(timezone.make_aware(datetime.combine(last, datetime.min.time())), -1) if last else day_of(now, -1)
    start = timezone.make_aware(datetime.combine(first, datetime.min.time())) if first else end - timedelta(days=7)
    return max(start, end - timedelta(days=MAX_DAYS)), end


async def export(wanted: Export) -> AsyncIterator[bytes]:
    """The lines of a CSV file, some thousand at a time; German: semicolons and decimal commas, as Excel expects."""
    language = get_language() or "en"
    with override(language):
        chunks = _chunks(wanted, german=language.startswith("de"))

    def step() -> str | None:
        with override(language):
            return next(chunks, None)

    yield "\ufeff".encode()
    while (chunk := await sync_to_async(step, thread_sensitive=True)()) is not None:
        yield chunk.encode()


def _chunks(wanted: Export, german: bool) -> Iterator[str]:
    out = StringIO()
    writer = csv.writer(out, delimiter=";" if german else ",", lineterminator="\r\n")
    head = [
        _("Metering point"),
        "MeLo-ID",
        _("Meter"),
        "DevEUI",
        "OBIS",
        _("Meter register"),
        _("Time"),
        _("Value"),
        _("Unit"),
    ]
    more = [_("Mean"), _("Least"), _("Greatest"), _("Readings")] if wanted.hourly else [_("Note")]
    writer.writerow(head + more)
    written = 0
    try:
        for adapter in _adapters(wanted):
            places = _places(adapter)
            for row in _rows(adapter, wanted):
                writer.writerow(_line(adapter, places, row, german))
                written += 1
                if written % CHUNK == 0:
                    yield _taken(out)
                if written >= MAX_ROWS:
                    writer.writerow([_("Cut here after {n} lines; choose fewer meters or days.").format(n=MAX_ROWS)])
                    yield _taken(out)
                    return
    except MeterspanError as error:  # the answer has begun long ago: it can only be said in the file
        writer.writerow([_("Cut here: {reason}").format(reason=error)])
    yield _taken(out)


def _taken(out: StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def _adapters(wanted: Export) -> Iterator[Adapter]:
    for at in range(0, len(wanted.adapters), 200):
        yield from Adapter.objects.filter(pk__in=wanted.adapters[at : at + 200]).order_by("dev_eui")


def _places(adapter: Adapter) -> list[Pairing]:
    return list(adapter.pairings.select_related("metering_point", "meter").order_by("from_at"))


def _rows(adapter: Adapter, wanted: Export) -> Iterator[Row]:
    readings = Reading.objects.filter(adapter=adapter, measured_at__gte=wanted.start, measured_at__lt=wanted.end)
    if not wanted.hourly:
        yield from _singles(adapter, readings, wanted)
        return
    sealed: Iterator[Row] = iter(())
    if wanted.opening is not None and has_sealed(adapter.pk):
        sealed = _condensed(_singles(adapter, readings.filter(value=None), wanted))
    both = merge(_hours(adapter, wanted), sealed, key=itemgetter(0, 1))
    # Of the hour in which sealing began or ended, the one that was condensed.
    yield from (next(same) for _hour, same in groupby(both, itemgetter(0, 1)))


def _hours(adapter: Adapter, wanted: Export) -> Iterator[Row]:
    hours = HourRollup.objects.filter(adapter=adapter, start__gte=wanted.start, start__lt=wanted.end)
    if wanted.registers:
        hours = hours.filter(register__in=wanted.registers)
    columns = ("register", "start", "last_value", "mean", "min_value", "max_value", "count")
    for register, start, last, mean, low, high, count in (
        hours.order_by("register", "start").values_list(*columns).iterator(CHUNK)
    ):
        yield register, start, last, (mean, low, high, count)


def _singles(adapter: Adapter, rows: QuerySet[Reading], wanted: Export) -> Iterator[Row]:
    if wanted.registers:
        rows = rows.filter(register__in=wanted.registers)
    columns = ("register", "measured_at", "value", "counter", "recovered")
    ordered = rows.order_by("register", "measured_at").values_list(*columns)
    for register, series in groupby(ordered.iterator(CHUNK), itemgetter(0)):
        while some := list(islice(series, MAX_VALUES)):
            closed = [at for _register, at, value, *_rest in some if value is None]
            opened = {}
            if wanted.opening is not None and closed:
                opened = wanted.opening.values(adapter.pk, [register], closed[0], closed[-1])
            for _register, at, value, counter, recovered in some:
                yield register, at, opened.get((counter, register)) if value is None else value, (recovered,)


def _condensed(rows: Iterator[Row]) -> Iterator[Row]:
    """Hours of UTC out of single values, as the roll-up would make them; without values that stay sealed."""
    opened = (row for row in rows if row[2] is not None)
    for (register, hour), some in groupby(opened, lambda row: (row[0], _hour(row[1]))):
        values = [value for _, _, value, _ in some if value is not None]
        more = sum(values) / len(values), min(values), max(values), len(values)
        yield register, hour, values[-1], more


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _line(
    adapter: Adapter,
    places: list[Pairing],
    row: Row,
    german: bool,
) -> list[str]:
    number, at, value, more = row
    index, input_ = split_number(number)
    register = REGISTERS[index]
    pairing = next(
        (p for p in places if p.input == input_ and p.from_at <= at and (p.to_at is None or at < p.to_at)), None
    )
    point: MeteringPoint | None = pairing.metering_point if pairing else None

    def quantity(stored: float | int | None) -> str:
        if stored is None:
            return ""
        text = format(Decimal(str(stored)).scaleb(register.exponent), "f")
        return text.replace(".", ",") if german else text

    if len(more) == 1:
        extra = [_("recovered") if more[0] else ""]
    else:
        extra = [quantity(v) for v in more[:3]] + [str(v) for v in more[3:]]
    return [
        _safe(point.name if point else adapter.location),
        point.melo_id if point else "",
        pairing.meter.meter_id if pairing and pairing.meter else "",
        adapter.dev_eui.upper(),
        register.obis,
        registers.shown(number).name,
        timezone.localtime(at).isoformat(timespec="seconds"),
        quantity(value),
        register.unit,
        *extra,
    ]


def _safe(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text


def choices() -> list[tuple[int, str]]:
    """Registers to choose from."""
    return [(register_number(n), f"{registers.NAMES[n]} ({REGISTERS[n].obis.partition(':')[2]})") for n in CHOICES]
