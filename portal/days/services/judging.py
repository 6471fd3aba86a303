"""What can be said of a day now: signed, signed except for some telegrams, wrong, or what is still needed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from meterwire.signed_day import Wanted, begin_of, number_of, runs_of
from portal.days.models import VERIFIED, DayState, RestingLeaf, SignedDay, SigningKey
from portal.days.services.evidence import Evidence, between, fitting_key, gather
from portal.telemetry.services import note_event

MAX_ASKED = {  # requests without anything new coming; then the day is given up, until something does come
    Wanted.SIGNATURE: 6,
    Wanted.KEY: 6,
    Wanted.RUNS: 6,
    Wanted.TELEGRAMS: 6,
    Wanted.HASHES: 12,  # after those for telegrams
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is said of a day, and what to ask its adapter for: `wanted` and, of leaves, the `counters`."""

    state: DayState
    wanted: Wanted | None = None
    counters: tuple[int, ...] = ()


def judge(row: SignedDay, now: datetime) -> Finding:
    """Look at a day anew and write down what is found. Must run in a transaction that holds the row."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("a day is judged while its row is held")
    if row.r is None or row.s is None:
        return _settle(row, _pending(row, Wanted.SIGNATURE, DayState.UNSIGNED), now)
    evidence = gather(row)
    if evidence.used is None:
        return _settle(row, _pending(row, Wanted.RUNS, DayState.UNVERIFIED), now)
    missing = tuple(evidence.missing)
    # While the signature is wrong `missing` counts what is without content, and hashes of it are no news.
    if len(missing) != row.missing and row.state not in {*VERIFIED, DayState.WRONG}:
        row.asked, row.missing = 0, len(missing)
    if missing:
        lost = tuple(counter for counter in missing if counter not in evidence.resting)
        if lost and row.asked < MAX_ASKED[Wanted.TELEGRAMS]:
            return _settle(row, _pending(row, Wanted.TELEGRAMS, DayState.UNVERIFIED, lost), now)
        return _settle(row, _pending(row, Wanted.HASHES, DayState.UNVERIFIED, missing), now)
    keys = list(SigningKey.objects.filter(adapter_id=row.adapter_id).order_by("-pk"))
    if not keys:
        return _settle(row, _pending(row, Wanted.KEY, DayState.UNVERIFIED), now)
    key = fitting_key(row, _entitled(keys, row), evidence.hashes())
    if key is None:
        return _wrong(row, evidence, now)
    return _verified(row, key, evidence, now)


def _pending(row: SignedDay, wanted: Wanted, at_last: DayState, counters: tuple[int, ...] = ()) -> Finding:
    if row.asked >= MAX_ASKED[wanted]:
        return Finding(at_last)
    return Finding(DayState.WAITING, wanted, counters)


def _verified(row: SignedDay, key: SigningKey, evidence: Evidence, now: datetime) -> Finding:
    row.signing_key, row.verified_at = key, row.verified_at or now
    row.hashes = b"".join(digest for _, digest in evidence.hashes())
    # A telegram that was there when the day was proven is not missing because it has been deleted since.
    row.missing = min(evidence.without_content, row.missing if row.state in VERIFIED else evidence.without_content)
    row.uncovered = evidence.uncovered + _before(row)
    row.runs = _runs(evidence)  # what was signed: runs that came may have been some of them only
    row.digests = {}
    RestingLeaf.objects.filter(adapter_id=row.adapter_id, counter__range=(row.first_counter, row.last_counter)).delete()
    return _settle(row, Finding(DayState.PARTIAL if row.missing else DayState.SIGNED), now)


def _wrong(row: SignedDay, evidence: Evidence, now: datetime) -> Finding:
    """It may be a signature that was damaged or forged on the way: the adapter is asked for it a few times more."""
    row.missing = evidence.without_content
    signature = bytes(row.r or b"").hex() + bytes(row.s or b"").hex()
    at, detail = begin_of(number_of(row.day) + 1), {"day": str(row.day)}
    note_event(row.adapter, "security", "day_signature_wrong", detail, at=at, once=signature)
    again = row.asked < MAX_ASKED[Wanted.SIGNATURE]
    return _settle(row, Finding(DayState.WRONG, Wanted.SIGNATURE if again else None), now)


def _settle(row: SignedDay, finding: Finding, now: datetime) -> Finding:
    if row.state != finding.state:
        row.state, row.changed_at = finding.state, now
    row.next_at = None if finding.wanted is None else max(row.next_at or now, now)
    row.save()
    return finding


def _entitled(keys: list[SigningKey], row: SignedDay) -> list[SigningKey]:
    """Newest first; a key that was replaced before the day began no longer signs it."""
    begin = begin_of(number_of(row.day))
    return keys[:1] + [key for key, next_ in zip(keys[1:], keys, strict=False) if next_.announced_at >= begin]


def _before(row: SignedDay) -> int:
    """Telegrams between the last signed day and this one that neither covers."""
    assert row.first_counter is not None
    earlier = SignedDay.objects.filter(
        adapter_id=row.adapter_id, day__lt=row.day, day__gte=row.day - timedelta(days=7), last_counter__isnull=False
    )
    last = earlier.order_by("-day").values_list("last_counter", flat=True).first()
    if last is None or last + 1 >= row.first_counter:
        return 0
    return sum(1 for _ in between(row, last + 1, row.first_counter - 1))


def _runs(evidence: Evidence) -> list[list[int]]:
    found = runs_of(evidence.used or ())
    return [[run.first, run.length] for run in found] if len(found) > 1 else []
