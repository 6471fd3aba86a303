"""Frames of signed days as adapters send them: keys, signatures, and what was asked for."""

import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from meterwire import signed_day
from meterwire.errors import AuthenticationError, FormatError
from meterwire.ids import DevEUI
from meterwire.signed_day import (
    DayRefusal,
    LeafHash,
    LeafRuns,
    Reason,
    Run,
    SignatureHalf,
    SigningKey,
    Wanted,
    date_of,
    leaf,
)
from portal.days.models import VERIFIED, DayState, RestingLeaf, SignedDay
from portal.days.services.announcing import announce
from portal.days.services.judging import MAX_ASKED, judge
from portal.telemetry.services import note_event
from provisioning.fleet.models import Adapter
from provisioning.keys.vault import Vault

log = logging.getLogger(__name__)

OLDEST: Final = timedelta(days=20)  # an adapter remembers no longer
MAX_RUNS: Final = 400  # of one day


def take(adapter: Adapter, payload: bytes, received_at: datetime, vault: Vault, now: datetime) -> None:
    """Act on one frame; the same one twice does no harm. MeterspanError for one that is worth nothing."""
    frame = signed_day.decode(payload, up=True)
    if isinstance(frame, SigningKey):
        _take_key(adapter, payload, frame, vault, now)
        return
    day = date_of(frame.day)
    if not received_at.date() - OLDEST <= day < received_at.date():
        raise FormatError(f"a frame about {day} came on {received_at.date()}: that day is not over, or long gone")
    with transaction.atomic():
        row = _row(adapter, frame, now)
        if row is not None and _apply(row, frame):
            row.next_at = now
            judge(row, now)


def arrived_late(adapters: Collection[int], now: datetime) -> int:
    """Telegrams of these adapters came that were missing before: look again at what lacks some."""
    lacking = [DayState.WAITING, DayState.PARTIAL, DayState.UNVERIFIED]
    return SignedDay.objects.filter(adapter_id__in=adapters, state__in=lacking).update(next_at=now) if adapters else 0


def note_leaves(items: Iterable[tuple[int, str, int, int, bytes]], now: datetime) -> None:
    """Telegrams that are not stored as they were sent: (adapter, DevEUI, counter, port, bytes as sent)."""
    rows = [
        RestingLeaf(
            adapter_id=adapter,
            counter=counter,
            digest=leaf(DevEUI.parse(dev_eui), counter, port, payload),
            received_at=now,
        )
        for adapter, dev_eui, counter, port, payload in items
    ]
    if rows:
        RestingLeaf.objects.bulk_create(rows, ignore_conflicts=True)


def _take_key(adapter: Adapter, payload: bytes, frame: SigningKey, vault: Vault, now: datetime) -> None:
    """A key that cannot be believed is not an error of the way here but news for the operator."""
    try:
        if announce(adapter, payload, frame, vault, now):
            _look_again(adapter, now)
    except AuthenticationError as error:
        log.warning("a signing key was refused: %s", error, extra={"adapter": adapter.dev_eui, "code": error.code})
        note_event(adapter, "security", "signing_key_refused", {"code": error.code}, at=now, once=payload.hex())


def _look_again(adapter: Adapter, now: datetime) -> None:
    lacking = [DayState.WAITING, DayState.UNVERIFIED, DayState.WRONG]
    SignedDay.objects.filter(adapter=adapter, state__in=lacking).update(next_at=now, asked=0)


def _row(adapter: Adapter, frame: signed_day.Message, now: datetime) -> SignedDay | None:
    """The day's row, held; only a signature makes a new one."""
    day = date_of(frame.day)  # type: ignore[union-attr]  # a key was dealt with before
    if isinstance(frame, SignatureHalf):
        fields = {"organisation": adapter.organisation, "changed_at": now}
        SignedDay.objects.get_or_create(adapter=adapter, day=day, defaults=fields)
    rows = SignedDay.objects.select_for_update(of=("self",)).select_related("adapter__organisation")
    return rows.filter(adapter=adapter, day=day).first()


def _apply(row: SignedDay, frame: signed_day.Message) -> bool:
    """Whether it is news. What was proven is not changed any more."""
    if row.state in VERIFIED:
        return False
    match frame:
        case SignatureHalf():
            return _take_half(row, frame)
        case LeafRuns():
            runs = {Run(*one) for one in row.runs} | set(frame.runs)
            if len(runs) > MAX_RUNS:
                raise FormatError(f"a day with more than {MAX_RUNS} runs of counters is not believed")
            known, row.runs = row.runs, [[run.first, run.length] for run in sorted(runs)]
            news = bool(row.runs != known)
        case LeafHash():
            if row.leaves is None or not (row.first_counter or 0) <= frame.counter <= (row.last_counter or 0):
                raise FormatError("a leaf hash came that belongs to no telegram of its day")
            news = bool(row.digests.get(str(frame.counter)) != frame.digest.hex())
            if len(row.digests) >= row.leaves and news:
                raise FormatError("more leaf hashes came than the day has telegrams")
            row.digests[str(frame.counter)] = frame.digest.hex()
        case DayRefusal():
            row.asked = max(row.asked, _given_up(frame))
            return True
        case _:
            return False
    if news:
        row.asked = 0
    return news


def _take_half(row: SignedDay, frame: SignatureHalf) -> bool:
    head = (frame.leaves, frame.first, frame.last)
    if head != (row.leaves, row.first_counter, row.last_counter):
        row.leaves, row.first_counter, row.last_counter = head
        row.r = row.s = None
        row.runs, row.digests = [], {}
    name, other = ("s", "r") if frame.half else ("r", "s")
    if getattr(row, name) is not None and bytes(getattr(row, name)) == frame.octets:
        return row.state in (DayState.UNSIGNED, DayState.UNVERIFIED)
    if getattr(row, name) is not None:
        setattr(row, other, None)  # another signature: its two halves belong together
    setattr(row, name, frame.octets)
    row.asked = 0 if row.state != DayState.WRONG else row.asked
    return True


def _given_up(frame: DayRefusal) -> int:
    """An adapter that has nothing will not have it later; one that has not signed yet may."""
    if frame.reason is Reason.UNSIGNED:
        return 0
    return MAX_ASKED[Wanted.HASHES if frame.wanted is Wanted.TELEGRAMS else frame.wanted]
