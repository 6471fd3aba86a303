"""Slots for many adapters at once, such as all of a site: one lock and few statements for each concentrator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import devices_changed
from provisioning.fleet.models import Adapter
from provisioning.slots.models import Assignment, Occupancy
from provisioning.slots.services.assigning import TAKEN, TRIES, note_fullness, take
from provisioning.slots.services.memory import memory
from provisioning.slots.services.needs import Need
from provisioning.slots.services.neighbours import forget_unheard, settle_neighbours
from provisioning.slots.services.site import Site, hearers_of, occupancies

MAX_AT_ONCE = 50_000
BATCH = 1000


def assign_many(
    actor: Actor,
    organisation: Organisation,
    adapters: Sequence[Adapter],
    *,
    period_s: int,
    size: int,
    data_rate: Callable[[Adapter], int],
    or_overlap: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Give a slot to each of the adapters that has none and is under a concentrator; returns how many got one.

    All or none, but for those that would have to lie over others, without `or_overlap`: they wait. `progress` is told
    (done, total) after each BATCH. Invalid for more than MAX_AT_ONCE; Conflict when the database refuses them again
    and again.
    """
    if len(adapters) > MAX_AT_ONCE:
        raise Invalid("adapters", _("At most {limit} adapters get slots at once.").format(limit=MAX_AT_ONCE))
    for site_id in {adapter.site_id for adapter in adapters}:
        require_at(actor, organisation, site_id, "fleet.edit")
    with audited(organisation):
        order = _Order(actor, organisation, period_s, size, data_rate, or_overlap, progress)
        for _tried in range(TRIES):
            try:
                with transaction.atomic():
                    return _all(order, adapters)
            except IntegrityError:
                memory.forget()  # somebody wrote without telling; the database knows better than we
        raise Conflict(_("This slot could not be stored; try again."))


@dataclass(frozen=True, slots=True)
class _Order:
    """What assign_many was asked for."""

    actor: Actor
    organisation: Organisation
    period_s: int
    size: int
    data_rate: Callable[[Adapter], int]
    or_overlap: bool
    progress: Callable[[int, int], None]


def _all(order: _Order, adapters: Sequence[Adapter]) -> int:
    organisation = order.organisation
    named = Assignment.objects.filter(adapter__in=[adapter.pk for adapter in adapters])
    rows = {row.pk: row for row in named}
    ours = [
        adapter
        for adapter in adapters
        if adapter.kind == Adapter.Kind.METERSPAN
        and adapter.organisation_id == organisation.pk
        and adapter.concentrator_id is not None
        and (adapter.pk not in rows or rows[adapter.pk].concentrator_id is None)
    ]
    by_concentrator: dict[int, list[Adapter]] = {}
    for adapter in ours:
        by_concentrator.setdefault(adapter.concentrator_id or 0, []).append(adapter)
    done = given = 0
    for concentrator in sorted(by_concentrator):
        crowd = _Crowd(order, concentrator, by_concentrator[concentrator], rows)
        for start in range(0, len(crowd.adapters), BATCH):
            crowd.give(start)
            order.progress(done + min(start + BATCH, len(crowd.adapters)), len(ours))
        done, given = done + len(crowd.adapters), given + len(crowd.given)
        crowd.tell()
    return given


class _Crowd:
    """The adapters of one concentrator."""

    def __init__(self, order: _Order, concentrator: int, adapters: list[Adapter], rows: dict[int, Assignment]) -> None:
        self.adapters = adapters
        self.given: list[Adapter] = []
        self._order, self._concentrator, self._rows = order, concentrator, rows
        self._now = timezone.now()
        self._hearers = hearers_of([adapter.pk for adapter in adapters], self._now)
        self._site = Site(concentrator, set().union(*self._hearers.values()))
        forget_unheard(self._site, self._now)
        self._overlaps = 0

    def give(self, start: int) -> None:
        """Slots for the next BATCH of them."""
        order, wanted, choices = self._order, [], []
        made: list[Assignment] = []
        laid: list[Occupancy] = []
        for adapter in self.adapters[start : start + BATCH]:
            row = self._rows.get(adapter.pk) or Assignment(adapter=adapter, organisation=order.organisation)
            need = Need.under(self._site.plan, order.period_s, order.size, order.data_rate(adapter))
            hearers = self._hearers.get(adapter.pk, set()) - {self._concentrator}
            needs = need.slower(self._site.plan)
            wanted.append((adapter, row, needs, hearers))
            choices.append([one.wish(row, self._concentrator, hearers) for one in needs])
        places = self._site.give(choices, or_overlap=order.or_overlap)
        for (adapter, row, needs, hearers), given in zip(wanted, places, strict=True):
            if given is None:
                continue
            take(row, given, self._concentrator, needs[given.chosen], self._now)
            self._overlaps += given.overlap_ms > 0
            self.given.append(adapter)
            made.append(row)
            laid += occupancies(row, hearers)
        known = [row for row in made if not row._state.adding]
        Assignment.objects.bulk_create([row for row in made if row._state.adding], batch_size=BATCH)
        for row in known:
            row.save(update_fields=TAKEN)
        Occupancy.objects.bulk_create(laid, batch_size=BATCH)
        for row in made:
            if row.overlap_ms and row.adapter_id in self._hearers:
                settle_neighbours(row)

    def tell(self) -> None:
        """One entry in the audit, one revision of the device table."""
        if not self.given:
            return
        names = [adapter.dev_eui for adapter in self.given]
        self._site.changed([adapter.pk for adapter in self.given], many=True)
        data = {"count": len(names), "first": names[0], "last": names[-1], "overlapping": self._overlaps}
        record(self._order.organisation, self._order.actor, "slot.assigned", None, data)
        note_fullness(self._order.actor, self._site.plan, self._overlaps > 0, self._now)
        devices_changed(self._concentrator, names)
