"""Reads the audit: for people who may, and from end to end to prove that nothing was changed."""

import hmac
from dataclasses import dataclass

from django.db.models import QuerySet

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.accounts.permissions import require
from provisioning.audit import chain
from provisioning.audit.models import Entry, Head, Verification

CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of a verification: `entries` sound ones from the start; `broken` is the first seq that is not."""

    organisation: Organisation
    entries: int
    head: str
    broken: int | None = None
    reason: str = ""


def entries(actor: Actor, organisation: Organisation) -> QuerySet[Entry]:
    """The organisation's entries, newest first, with their actors. Forbidden without audit.view."""
    require(actor, organisation, "audit.view")
    return Entry.objects.filter(organisation=organisation).select_related("actor").order_by("-seq")


def verify(organisation: Organisation) -> Verdict:
    """Recompute the whole chain: gaps, changed fields, foreign keys, and a cut end are found."""
    seq, previous = 0, ""
    key = chain.key_name()
    for entry in Entry.objects.filter(organisation=organisation).order_by("seq").iterator(CHUNK):
        reason = _fault(entry, seq, previous, key)
        if reason:
            return Verdict(organisation, seq, previous, seq + 1, reason)
        seq, previous = entry.seq, entry.mac
    head = Head.objects.filter(organisation=organisation).first()
    if (head.seq, head.mac) != (seq, previous) if head is not None else seq > 0:
        return Verdict(organisation, seq, previous, seq + 1, "the end of the chain is missing")
    return Verdict(organisation, seq, previous)


def passes_through(organisation: Organisation, seq: int, head: str) -> bool:
    """Whether the chain's entry `seq` is still the one with seal `head`: who has the key can forge a whole chain."""
    if not seq:
        return True
    mac = Entry.objects.filter(organisation=organisation, seq=seq).values_list("mac", flat=True).first()
    return mac is not None and hmac.compare_digest(mac, head)


def latest_verification(organisation: Organisation | int) -> Verification | None:
    """The last night's."""
    return Verification.objects.filter(organisation=organisation).order_by("-at", "-pk").first()


def _fault(entry: Entry, seq: int, previous: str, key: str) -> str:
    if entry.seq != seq + 1:
        return f"entry {seq + 1} is missing"
    if entry.prev != previous:
        return "it does not follow the entry before it"
    if entry.key != key:
        return f"it was written with audit key {entry.key}, this process has {key}"
    if not hmac.compare_digest(entry.mac, chain.mac(entry)):
        return "its content was changed"
    return ""
