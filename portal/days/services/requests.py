"""What the portal asks adapters for, within the budget of their downlinks, and days that came without a signature."""

import logging
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from meterwire.signed_day import DayRequest, Run, Wanted, number_of, runs_of
from portal.days.models import RestingLeaf, SignedDay, SigningKey
from portal.days.services.judging import Finding, judge
from portal.days.services.receiving import OLDEST
from portal.telemetry.models import Telegram

log = logging.getLogger(__name__)

AT_ONCE: Final = 50  # days looked at in one turn
PER_TURN: Final = 3  # requests to one adapter at a time
CHUNK: Final = 16  # frames with which an adapter answers one request at most
AGAIN: Final = timedelta(minutes=20)  # after a request; twice as long after each that brought nothing
LONGEST: Final = timedelta(hours=6)
SIGNED_BY: Final = timedelta(hours=8)  # after midnight UTC every adapter has signed
NEAR: Final = 2  # gaps so short are asked for in one piece with what lies between


@dataclass(frozen=True, slots=True)
class Due:
    """Something to ask the adapter of `row` for."""

    row: SignedDay
    request: DayRequest
    number: int


def due(now: datetime) -> list[Due]:
    """Judge what is to be looked at now, and what to ask for. An adapter out of reach is asked later.

    A day that cannot be judged holds up no other one: it is looked at again after LONGEST.
    """
    found: list[Due] = []
    waiting = SignedDay.objects.filter(next_at__lte=now).order_by("next_at").values_list("pk", flat=True)
    for pk in list(waiting[:AT_ONCE]):
        try:
            found += _judged(pk, now)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            log.exception("a day could not be judged", extra={"signed_day": pk})
            SignedDay.objects.filter(pk=pk).update(next_at=now + LONGEST)
    return found


def find_unsigned(now: datetime, limit: int = 2_000) -> int:
    """Make rows for yesterday where telegrams came but no signature, of adapters that sign; how many.

    Also forgets what was noted for days that can no longer be proven.
    """
    RestingLeaf.objects.filter(received_at__lt=now - OLDEST).delete()  # of days that nobody has proven
    day = (now - timedelta(days=1)).date()
    begin = timezone.make_aware(datetime.combine(day, time()), timezone.get_fixed_timezone(0))
    if now < begin + timedelta(days=1) + SIGNED_BY:
        return 0
    heard = Telegram.objects.filter(
        adapter=OuterRef("adapter"), received_at__range=(begin, begin + timedelta(days=1)), error=None,
        counter__isnull=False,
    )  # fmt: skip
    known = SignedDay.objects.filter(adapter=OuterRef("adapter"), day=day)
    keys = SigningKey.objects.filter(~Exists(known), Exists(heard), announced_at__lt=begin + timedelta(days=1))
    found = dict(keys.values_list("adapter_id", "organisation_id").distinct()[:limit])
    SignedDay.objects.bulk_create(
        [
            SignedDay(adapter_id=adapter, organisation_id=owner, day=day, changed_at=now, next_at=now)
            for adapter, owner in found.items()
        ],
        ignore_conflicts=True,
    )
    return len(found)


def _judged(pk: int, now: datetime) -> list[Due]:
    with transaction.atomic():
        rows = SignedDay.objects.select_for_update(of=("self",)).select_related("adapter__organisation")
        row = rows.filter(pk=pk, next_at__lte=now).first()
        return [] if row is None else _asked(row, judge(row, now), now)


def _asked(row: SignedDay, finding: Finding, now: datetime) -> list[Due]:
    if finding.wanted is None:
        return []
    concentrator = row.adapter.concentrator
    if concentrator is None or not concentrator.online or row.adapter.revoked_at or row.adapter.archived_at:
        row.next_at = now + AGAIN
        row.save(update_fields=["next_at"])
        return []
    row.asked, row.asked_at = row.asked + 1, now
    row.next_at = now + min(AGAIN * 2 ** min(row.asked - 1, 6), LONGEST)
    row.save(update_fields=["asked", "asked_at", "next_at"])
    day = number_of(row.day)
    if finding.wanted not in (Wanted.TELEGRAMS, Wanted.HASHES):
        return [Due(row, DayRequest(day, finding.wanted), 0)]
    pieces = _pieces(finding.counters)[:PER_TURN]
    return [Due(row, DayRequest(day, finding.wanted, run.first, run.length), n) for n, run in enumerate(pieces)]


def _pieces(counters: tuple[int, ...]) -> list[Run]:
    """Missing counters as ranges that one request covers."""
    found: list[Run] = []
    for run in runs_of(counters):
        last = found[-1] if found else None
        if last is not None and run.first - last.end <= NEAR and run.end - last.first <= CHUNK:
            found[-1] = Run(last.first, run.end - last.first)
        else:
            found += [Run(at, min(CHUNK, run.end - at)) for at in range(run.first, run.end, CHUNK)]
    return found
