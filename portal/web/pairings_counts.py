"""How many pairings wait for somebody, who may not scan and what is heard unpaired: counted every few seconds."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.telemetry.commissioning import heard_unpaired
from portal.web import figures
from portal.web.access import Access, reach_of
from portal.web.incident import Incident
from portal.web.shelf import Shelf
from provisioning.accounts.models import Organisation
from provisioning.pairing.models import Pairing
from provisioning.pairing.queries import blocked_people

FRESH_S = 2.0
Key = tuple[int, frozenset[int] | None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Open pairings by what they wait for; `mismatch_since` when the oldest one was found."""

    pending: int = 0
    compare: int = 0
    mismatch: int = 0
    confirmed: int = 0
    mismatch_since: datetime | None = None
    compare_since: datetime | None = None
    blocked: int = 0
    heard: int = 0
    heard_ours: int = 0

    @property
    def open(self) -> int:
        return self.pending + self.compare + self.mismatch + self.confirmed

    @property
    def people(self) -> int:
        """Those that somebody has to look at."""
        return self.compare + self.mismatch


def of(access: Access) -> Waiting:
    """The counts of what this member may see."""
    return shelf.get(reach_of(access))


def forget(access: Access) -> None:
    """Something was just changed."""
    shelf.forget(access.organisation.pk)


def take(key: Key) -> Waiting:
    """Ask the database."""
    organisation, sites = key
    rows = Pairing.objects.filter(organisation_id=organisation, to_at=None).order_by()
    if sites is not None:
        rows = rows.filter(metering_point__site__in=sites)
    counts: dict[str, int] = {}
    since: dict[str, datetime | None] = {}
    for state, identity, n, first in rows.values_list("state", "identity").annotate(
        n=Count("pk"), at=Min("identity_at")
    ):
        word = _word(state, identity)
        counts[word] = counts.get(word, 0) + n
        since[word] = first
    owner = Organisation(pk=organisation)
    heard = heard_unpaired(owner, sites)
    return Waiting(
        **counts,
        mismatch_since=since.get("mismatch"),
        compare_since=since.get("compare"),
        blocked=blocked_people(owner).count() if sites is None else 0,  # nobody limited to sites unblocks
        heard=len(heard),
        heard_ours=sum(row.adapter is not None for row in heard),
    )


def incidents(access: Access) -> list[Incident]:
    """What needs somebody, by cause."""
    counts = of(access)
    found = []
    if counts.mismatch:
        found.append(_mismatch(counts))
    if counts.compare:
        found.append(_compare(counts))
    if counts.heard_ours:
        found.append(_heard(counts.heard_ours))
    if counts.blocked and access.may("pairing.unblock"):
        found.append(_blocked(counts.blocked))
    return found


def _mismatch(counts: Waiting) -> Incident:
    n = counts.mismatch
    return Incident(
        "bad",
        ngettext("{n} adapter reads another meter", "{n} adapters read another meter", n).format(n=figures.figure(n)),
        _("Nothing of theirs is handed on, and their readings wait until somebody decides."),
        counts.mismatch_since,
        n,
        f"{reverse('pairings')}?state=mismatch",
        _("Look at each: swap, take the meter's number over, or move the adapter."),
    )


def _compare(counts: Waiting) -> Incident:
    n = counts.compare
    return Incident(
        "warn",
        ngettext("{n} display is to be compared", "{n} displays are to be compared", n).format(n=figures.figure(n)),
        _("Their meters tell no number, so only a person can say that the right one is read."),
        counts.compare_since,
        n,
        f"{reverse('pairings')}?state=compare",
        _("Compare the display of the meter with the first reading, then confirm."),
    )


def _heard(n: int) -> Incident:
    title = ngettext("{n} of our adapters is heard, not paired", "{n} of our adapters are heard, not paired", n)
    return Incident(
        "warn",
        title.format(n=figures.figure(n)),
        _("They ask to join, and no concentrator serves them."),
        None,
        n,
        reverse("pairings-heard"),
        _("Pair each with its meter, or switch it off until then."),
    )


def _blocked(n: int) -> Incident:
    title = ngettext("{n} person may not scan any more", "{n} people may not scan any more", n)
    return Incident(
        "warn",
        title.format(n=figures.figure(n)),
        _("Five labels with a wrong owner token were tried: old labels, or somebody guesses."),
        None,
        n,
        reverse("pairings-blocked"),
        _("Ask what was scanned, then let the person scan again."),
    )


def _word(state: str, identity: str) -> str:
    if identity == Pairing.Identity.MISMATCH:
        return "mismatch"
    if state == Pairing.State.CONFIRMED:
        return "confirmed"
    return "compare" if identity == Pairing.Identity.UNREADABLE else "pending"


shelf: Shelf[Key, Waiting] = Shelf(take, FRESH_S, told=True)
