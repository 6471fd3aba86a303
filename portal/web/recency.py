"""Adapters by their last reading.

No index holds that order, since it would slow down every reading that is stored. So both ends of it are kept for a
while: who wants to look further filters first.
"""

from django.db.models import QuerySet
from django.http import QueryDict

from portal.telemetry.models import AdapterStatus
from portal.web.keyset import SIZE, Page
from portal.web.shelf import Shelf
from provisioning.fleet.models import Adapter

REACH = 2000
_FIELDS = {"last": ("-last_seen", "-adapter_id"), "oldest": ("last_seen", "adapter_id")}

Key = tuple[int, frozenset[int] | None, str, str]  # organisation, sites, state, sort


def _take(key: Key) -> list[int]:
    organisation, sites, state, sort = key
    rows = AdapterStatus.objects.filter(organisation_id=organisation, last_seen__isnull=False)
    if state:
        rows = rows.filter(state=state)
    if sites is not None:
        rows = rows.filter(adapter__site__in=sites)
    return list(rows.order_by(*_FIELDS[sort]).values_list("adapter_id", flat=True)[:REACH])


recency: Shelf[Key, list[int]] = Shelf(_take, told=True)


def page_of(rows: QuerySet[Adapter], key: Key, query: QueryDict) -> Page[Adapter]:
    """The page that `page` in the query names, of those adapters that `rows` contains."""
    keys = recency.get(key)
    asked = query.get("page", "")
    number = min(int(asked), REACH) if asked.isdecimal() and len(asked) < 6 else 1
    start = max(0, number - 1) * SIZE
    shown = keys[start : start + SIZE]
    found = {row.pk: row for row in rows.filter(pk__in=shown)}
    previous = _link(query, number - 1) if number > 1 else ""
    further = _link(query, number + 1) if start + SIZE < len(keys) else ""
    return Page([found[pk] for pk in shown if pk in found], previous, further)


def _link(query: QueryDict, number: int) -> str:
    copy = query.copy()
    copy["page"] = str(number)
    return copy.urlencode()
