"""What the pages of batches show: states, errors in words, the stations of a batch, and its progress."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from celery.result import AsyncResult
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from portal.celery import app
from portal.web import figures
from portal.web.life import Station
from portal.web.states import Form, State
from provisioning.batches.models import Batch, BatchRow
from provisioning.batches.report import report
from provisioning.batches.services import is_stalled
from provisioning.batches.tasks import import_batch

_ERRORS: dict[str, str | Promise] = {
    "not_hex": gettext_lazy("Not hexadecimal"),
    "length": gettext_lazy("Wrong length"),
    "number": gettext_lazy("Spoiled by a spreadsheet"),
    "placeholder": gettext_lazy("Placeholder"),
    "weak_key": gettext_lazy("Weak key"),
    "key_twice": gettext_lazy("Same key twice in a row"),
    "repeated": gettext_lazy("DevEUI twice in the file"),
    "repeated_key": gettext_lazy("Key twice in the file"),
    "repeated_token": gettext_lazy("Owner token twice in the file"),
    "missing": gettext_lazy("Empty cell"),
    "range": gettext_lazy("Out of range"),
    "choice": gettext_lazy("Unknown choice"),
    "token": gettext_lazy("Unusable owner token"),
    "formula": gettext_lazy("Formula"),
    "spreadsheet_error": gettext_lazy("Error of the spreadsheet"),
    "too_long": gettext_lazy("Too long"),
    "control_characters": gettext_lazy("Control characters"),
    "not_a_number": gettext_lazy("Not a number"),
    "open_quote": gettext_lazy("Open quotation mark"),
    "too_many_cells": gettext_lazy("Too many cells"),
    "foreign_inner": gettext_lazy("Inner key of a foreign device"),
    "slot_twice": gettext_lazy("Key slot twice"),
    "known_other_key": gettext_lazy("Registered with another key"),
    "known_other_join": gettext_lazy("Registered with another JoinEUI"),
    "not_available": gettext_lazy("Not available"),
}
_FORMS: dict[str, Form] = {"done": "ok", "failed": "bad", "cancelled": "idle", "imported": "ok", "bad": "bad"}
_ROW_FORMS: dict[str, Form] = {"new": "idle", "known": "ok", "bad": "bad", "imported": "ok", "skipped": "bad"}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is; `stalled`: its worker has died, and nobody has gone on yet."""

    done: int
    total: int
    stalled: bool

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.total) if self.total else 0


def error_name(code: str) -> str:
    """An error in words; one without words as it is written."""
    return str(_ERRORS.get(code, code))


def state_of(batch: Batch) -> State:
    """A batch's state in form and word."""
    form = _FORMS.get(batch.state, "warn")
    if batch.state == Batch.State.DONE and batch.bad:
        return State("warn", _("imported in part"))
    return State(form, str(Batch.State(batch.state).label).lower())


def state_of_row(row: BatchRow) -> State:
    """A row's state in form and word."""
    return State(_ROW_FORMS[row.state], str(BatchRow.State(row.state).label).lower())


def life(batch: Batch) -> list[Station]:
    """Uploaded, checked, released, imported."""
    made = _("Made here") if batch.source == Batch.Source.GENERATED else _("Uploaded")
    stations = [Station(made, figures.day(batch.created_at), "done", batch.created_at)]
    stations.append(_reached(_("Checked"), batch.checked_at))
    stations.append(_reached(_("Released"), batch.started_at))
    if batch.state == Batch.State.CANCELLED:
        stations.append(_ended(_("Cancelled"), batch.finished_at))
    elif batch.state == Batch.State.FAILED:
        stations.append(_ended(_("Failed"), batch.finished_at))
    else:
        stations.append(_reached(_("Imported"), batch.finished_at))
    at = next((place for place, station in enumerate(stations) if station.form == "todo"), None)
    if at is not None:
        stations[at] = Station(stations[at].name, stations[at].text, "now")
    return stations


def progress(batch: Batch, now: datetime) -> Progress:
    """From the rows that are imported; an import in one transaction tells it through its task."""
    done = batch.imported
    if batch.mode == Batch.Mode.ALL_OR_NOTHING and batch.task_id:
        done = _told(batch.task_id)
    return Progress(done, batch.new, is_stalled(batch, now))


async def export(batch: Batch) -> AsyncIterator[bytes]:
    """The batch's report as it is sent."""
    parts = report(batch)

    def step() -> str | None:
        return next(parts, None)

    while (part := await sync_to_async(step, thread_sensitive=True)()) is not None:
        yield part.encode()


def queue(batch: Batch, task_id: str) -> bool:
    """Hand the import to a worker; False when the queue is not reached, and the sweeper will do it."""
    Batch.objects.filter(pk=batch.pk).update(task_id=task_id)
    try:
        import_batch.apply_async((batch.pk,), task_id=task_id, retry=False)
    except (OperationalError, RedisError):
        return False
    return True


def _ended(name: str, at: datetime | None) -> Station:
    return Station(name, figures.day(at) if at else "", "fail", at)


def _told(task_id: str) -> int:
    try:
        info: Any = AsyncResult(task_id, app=app).info
    except Exception:  # whatever the result store answers or not: it is only a progress bar
        return 0
    return int(info.get("done", 0)) if isinstance(info, dict) else 0


def _reached(name: str, at: datetime | None) -> Station:
    return Station(name, figures.day(at), "done", at) if at else Station(name, _("not yet"), "todo")
