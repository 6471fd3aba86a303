"""The overview's figures and the open incidents, grouped by cause and in words."""

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.web import certificates_due, chain_broken, diagnosis, figures, pairings_counts, slot_incidents, slots_wrong
from portal.web.access import Access, reach_of
from portal.web.incident import Incident
from portal.web.punctuality import COUNTED_AT_ONCE, Hour, hours, hours_behind
from portal.web.recency import recency
from portal.web.snapshot import Refusals, Silent, Snapshot, snapshots
from provisioning.fleet.models import Concentrator

MAX_INCIDENTS = 200
FREE = {"free", "none"}
_ORDER = {"bad": 0, "warn": 1, "ok": 2, "idle": 3}


def snapshot(access: Access) -> Snapshot:
    """The facts that this member may see."""
    return snapshots.get(reach_of(access))


def punctuality(access: Access) -> list[Hour]:
    """The last 24 hours, oldest first; of a large fleet they are counted behind the scenes, and at first unknown."""
    shelf = hours if snapshot(access).total.total <= COUNTED_AT_ONCE else hours_behind
    return shelf.get(reach_of(access)) or []


def forget(access: Access) -> None:
    """Something was just changed: make the facts of this organisation anew."""
    kept = (certificates_due.shelf, chain_broken.shelf, slot_incidents.shelf, slots_wrong.shelf)
    for shelf in (snapshots, recency, pairings_counts.shelf, *kept):
        shelf.forget(access.organisation.pk)


def everything(access: Access) -> list[Incident]:
    """What needs somebody, worst first: incidents, certificates, time slots, and a broken audit chain."""
    more = (certificates_due, slot_incidents, chain_broken)
    return _worst_first([*incidents(access), *(one for part in more for one in part.incidents(access))])


def incidents(access: Access) -> list[Incident]:
    """The part of it that the frame of every page counts: nothing that needs another look into the database."""
    facts = snapshot(access)
    found = []
    dead: set[int] = set()
    for concentrator in facts.concentrators:
        if concentrator.last_state_at is not None and not concentrator.online:
            dead.add(concentrator.pk)
            found.append(_no_backhaul(concentrator, facts))
        if _needs_look(concentrator):
            found += _of_concentrator(concentrator)
    silent = sorted((row for row in facts.silences if row.concentrator not in dead), key=lambda row: -row.adapters)
    found += [_silent(row, facts) for row in silent[:MAX_INCIDENTS]]
    found += [_refused(row) for row in facts.refusals]
    found += pairings_counts.incidents(access)
    return _worst_first(found)


def _worst_first(found: list[Incident]) -> list[Incident]:
    return sorted(found, key=lambda i: (_ORDER[i.form], -i.affected))[:MAX_INCIDENTS]


def _place(concentrator: Concentrator) -> str:
    return concentrator.site.name if concentrator.site else concentrator.name


def _no_backhaul(concentrator: Concentrator, facts: Snapshot) -> Incident:
    silent = sum(s.adapters for s in facts.silences if s.concentrator == concentrator.pk)
    affected = max(concentrator.devices, silent)
    text = ngettext("{n} adapter affected", "{n} adapters affected", affected).format(n=figures.figure(affected))
    if concentrator.queue_depth:
        waiting = ngettext("{n} reading waits", "{n} readings wait", concentrator.queue_depth)
        text += " · " + waiting.format(n=figures.figure(concentrator.queue_depth)) + " " + _("in its outbox")
    text += " · " + _("readings are kept there until it is back")
    return Incident(
        "bad",
        _("{place} has lost its backhaul").format(place=_place(concentrator)),
        text,
        concentrator.last_state_at,
        affected,
        reverse("concentrator", args=[concentrator.pk]),
        _("Check power and network of the concentrator; then its password at the broker. It reconnects by itself."),
    )


def _needs_look(concentrator: Concentrator) -> bool:
    """A quick no for nearly all of them."""
    lost = any(isinstance(g, dict) and not g.get("online", True) for g in concentrator.gateways)
    return concentrator.key_waiting or lost or concentrator.clock_quality in FREE


def _of_concentrator(concentrator: Concentrator) -> list[Incident]:
    url = reverse("concentrator", args=[concentrator.pk])
    found = []
    if concentrator.key_changed:
        found.append(
            Incident(
                "bad",
                _("{place} announces another key than the approved one").format(place=_place(concentrator)),
                _("It was installed anew, or somebody pretends to be it. Root keys still go out for the old key."),
                concentrator.announced_at,
                concentrator.devices,
                url,
                _("Compare the fingerprint with the one on the device before you approve."),
            )
        )
    elif concentrator.key_waiting:
        found.append(
            Incident(
                "warn",
                _("{place} waits for the approval of its key").format(place=_place(concentrator)),
                _("Until then it gets no root keys, and no adapter can join there."),
                concentrator.announced_at,
                concentrator.devices,
                url,
                _("Compare the fingerprint with the one that the installer reads from the device, then approve."),
            )
        )
    lost = [g for g in concentrator.gateways if isinstance(g, dict) and not g.get("online", True)]
    if lost and concentrator.online:
        found.append(
            Incident(
                "bad" if len(lost) == len(concentrator.gateways) else "warn",
                _("{place} has lost a radio gateway").format(place=_place(concentrator)),
                ngettext("{n} of {all} gateways silent", "{n} of {all} gateways silent", len(lost)).format(
                    n=len(lost), all=len(concentrator.gateways)
                ),
                None,
                concentrator.devices,
                url,
                _("Check power and network of the packet forwarder."),
            )
        )
    if concentrator.online and concentrator.clock_quality in FREE:
        found.append(
            Incident(
                "warn",
                _("The clock of {place} is not synchronised").format(place=_place(concentrator)),
                _("Readings carry its time and may be filed a little early or late."),
                None,
                0,
                url,
                _("Check that it reaches its time server."),
            )
        )
    return found


def _silent(row: Silent, facts: Snapshot) -> Incident:
    place = facts.site_names.get(row.site or 0)
    if row.concentrator is not None and row.site is None:
        place = next((_place(c) for c in facts.concentrators if c.pk == row.concentrator), place)
    counts = facts.by_site.get(row.site)
    count = ngettext("{n} adapter is silent", "{n} adapters are silent", row.adapters).format(
        n=figures.figure(row.adapters)
    )
    of_all = _("of {n} there").format(n=figures.figure(counts.total)) + " · " if counts else ""
    site = reverse("site", args=[row.site]) if row.site in facts.site_names else reverse("adapters")
    everybody = counts is not None and counts.total == row.adapters > 1
    return Incident(
        "bad",
        _("{place}: {what}").format(place=place, what=count) if place else count,
        of_all + _("several reporting periods are missing"),
        row.since,
        row.adapters,
        f"{site}?state=silent",
        _("All at once: look at the concentrator and its antenna.")
        if everybody
        else _("One alone: check its supply and that nobody moved it; then the radio figures on its page."),
    )


def _refused(row: Refusals) -> Incident:
    told = diagnosis.of_event(row.kind, row.reason) if row.kind else diagnosis.of_refusal(row.reason)
    url = reverse("adapters") + f"?refused={'device' if row.kind else row.reason}"
    if row.adapters == 1 and row.adapter is not None:
        url = reverse("adapter", args=[row.adapter])
    return Incident(
        told.form,
        str(told.title),
        ngettext("{n} adapter in the last 24 hours", "{n} adapters in the last 24 hours", row.adapters).format(
            n=figures.figure(row.adapters)
        )
        + (f" · {told.cause}" if told.cause else ""),
        row.last,
        row.adapters,
        url,
        str(told.cure),
    )
