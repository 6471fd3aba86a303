"""Slots for many adapters at once, such as all of a site: one lock and few statements for each concentrator."""

from collections.abc import Callable, Sequence

from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.errors import Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import devices_changed
from provisioning.fleet.models import Adapter
from provisioning.slots.models import Assignment, Occupancy
from provisioning.slots.room import Place, Room, Wish
from provisioning.slots.services.assigning import checked_length, note_fullness, take
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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Give a slot to each of the adapters that has none and is under a concentrator; returns how many got one.

    All or none. `progress` is told (done, total) after each BATCH. Invalid for more than MAX_AT_ONCE.
    """
    if len(adapters) > MAX_AT_ONCE:
        raise Invalid("adapters", _("At most {limit} adapters get slots at once.").format(limit=MAX_AT_ONCE))
    for site_id in {adapter.site_id for adapter in adapters}:
        require_at(actor, organisation, site_id, "fleet.edit")
    with audited(organisation):
        rows = {row.pk: row for row in Assignment.objects.filter(organisation=organisation)}
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
        done = 0
        for concentrator in sorted(by_concentrator):
            crowd = _Crowd(actor, organisation, concentrator, by_concentrator[concentrator], rows)
            for start in range(0, len(crowd.adapters), BATCH):
                done += crowd.give(start, period_s, size, data_rate)
                progress(done, len(ours))
            crowd.tell()
    return done


class _Crowd:
    """The adapters of one concentrator."""

    def __init__(
        self, actor: Actor, organisation: Organisation, concentrator: int, adapters: list[Adapter],
        rows: dict[int, Assignment],
    ) -> None:  # fmt: skip
        self.adapters = adapters
        self._actor, self._organisation, self._concentrator, self._rows = actor, organisation, concentrator, rows
        self._now = timezone.now()
        self._hearers = hearers_of([adapter.pk for adapter in adapters], self._now)
        self._site = Site(concentrator, set().union(*self._hearers.values()))
        self._rooms: dict[frozenset[int], Room] = {}
        self._overlaps = 0

    def give(self, start: int, period_s: int, size: int, data_rate: Callable[[Adapter], int]) -> int:
        """Slots for the next BATCH of them."""
        made: list[Assignment] = []
        laid: list[Occupancy] = []
        for adapter in self.adapters[start : start + BATCH]:
            row = self._rows.get(adapter.pk) or Assignment(adapter=adapter, organisation=self._organisation)
            rate = data_rate(adapter)
            wish = Wish(checked_length(self._site.plan, period_s, size, rate), period_s)
            hearers = frozenset(self._hearers.get(adapter.pk, set()) - {self._concentrator})
            place = self._place(hearers, wish)
            take(row, place, self._site.plan, wish, size=size, data_rate=rate, now=self._now)
            made.append(row)
            laid += occupancies(row, hearers)
        known = [row for row in made if not row._state.adding]
        Assignment.objects.bulk_create([row for row in made if row._state.adding], batch_size=BATCH)
        for row in known:
            row.save()
        Occupancy.objects.bulk_create(laid, batch_size=BATCH)
        return len(made)

    def tell(self) -> None:
        """One entry in the audit, one revision of the device table."""
        names = [adapter.dev_eui for adapter in self.adapters]
        data = {"count": len(names), "first": names[0], "last": names[-1], "overlapping": self._overlaps}
        record(self._organisation, self._actor, "slot.assigned", None, data)
        note_fullness(self._actor, self._site.plan, self._overlaps > 0, self._now)
        devices_changed(self._concentrator, names)

    def _place(self, hearers: frozenset[int], wish: Wish) -> Place:
        """All adapters that the same others hear share one room; what is given there is taken in every other one."""
        if hearers not in self._rooms:
            self._rooms[hearers] = self._site.room(hearers)
        place = self._site.choose(self._rooms[hearers], wish)
        self._overlaps += place.overlap_ms > 0
        for room in self._rooms.values():
            room.give(place, wish)
        return place
