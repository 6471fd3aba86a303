"""The inventory as it is filtered, paged and exported; values are nowhere in it."""

import csv
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import QueryDict

from portal.web import adapters, keys_words
from portal.web.access import Access
from portal.web.keyset import Order
from portal.web.states import State
from provisioning.batches.report import harmless
from provisioning.campaigns.models import Delivery
from provisioning.campaigns.queries import SOON, inventory, page
from provisioning.fleet.models import Site
from provisioning.fleet.queries import visible_sites
from provisioning.keys.models import DeviceKey, KeyState, Purpose

COLUMNS: Final = (
    "dev_eui", "serial", "site", "purpose", "partner", "slot", "version", "state", "state_at", "check_value",
    "tag_length", "not_before", "not_after", "created_at", "last_used_at", "failure",
)  # fmt: skip
_CHUNK: Final = 1000
_BY_NUMBER: Final = Order(("pk",))
_BY_END: Final = Order(("not_after", "pk"))


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody wants to see; each field empty: everything."""

    purpose: str
    state: str
    site: Site | None
    text: str
    due: bool
    failed: bool

    @property
    def any(self) -> bool:
        return bool(self.filters)

    @property
    def filters(self) -> dict[str, object]:
        """What narrows it down, by name."""
        site = self.site.name if self.site else ""
        wanted = {"purpose": self.purpose, "state": self.state, "site": site, "text": self.text}
        return {name: value for name, value in (wanted | {"due": self.due, "failed": self.failed}).items() if value}


@dataclass(frozen=True, slots=True)
class Line:
    """One key as the list shows it."""

    key: DeviceKey
    purpose: str
    partner: str
    failure: State | None
    why: str


def chosen(access: Access, query: QueryDict) -> Choice:
    """The choice of a query; what is not known is left out."""
    site = query.get("site", "")
    places = visible_sites(access.user, access.organisation)
    return Choice(
        purpose=_known(query.get("purpose", ""), Purpose.values),
        state=_known(query.get("state", ""), KeyState.values),
        site=places.filter(pk=int(site)).first() if site.isdecimal() and len(site) < 12 else None,
        text=query.get("q", "").strip()[: adapters.MAX_SEARCH],
        due=query.get("only") == "due",
        failed=query.get("only") == "failed",
    )


def rows(access: Access, choice: Choice, now: datetime) -> QuerySet[DeviceKey]:
    """The keys of that choice."""
    found = inventory(
        access.user,
        access.organisation,
        purpose=choice.purpose,
        state=choice.state,
        site=choice.site,
        expiring_before=now + SOON if choice.due else None,
        failed=choice.failed,
    ).select_related("adapter__site")
    if choice.failed:
        # Says once more what follows from the rest, so that the few are found first.
        lost = Delivery.objects.filter(organisation=access.organisation, state=Delivery.State.FAILED, key__isnull=False)
        found = found.filter(pk__in=lost.values("key"))
    if choice.text:
        found = found.filter(adapter__in=adapters.search(access, choice.text))
    return found


def order(choice: Choice) -> Order:
    """What ends soon stands first where that is asked for."""
    return _BY_END if choice.due else _BY_NUMBER


def lines(found: list[Any]) -> list[Line]:
    """Annotated rows of `rows`, ready to be written."""
    return [
        Line(
            key=key,
            purpose=keys_words.purpose_name(key.purpose),
            partner=keys_words.partner_name(key),
            failure=keys_words.of_delivery(key.outcome) if key.outcome == Delivery.State.FAILED else None,
            why=keys_words.reason(key.failure_code or "", key.failure or ""),
        )
        for key in found
    ]


async def export(found: QuerySet[DeviceKey]) -> AsyncIterator[bytes]:
    """All of `found` as CSV, some thousand lines at a time."""
    parts = _csv(found.order_by("pk"))

    def step() -> str | None:
        return next(parts, None)

    while (part := await sync_to_async(step, thread_sensitive=True)()) is not None:
        yield part.encode()


def _csv(found: QuerySet[DeviceKey]) -> Iterator[str]:
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    out.write("\ufeff")
    writer.writerow(COLUMNS)
    after = 0
    while chunk := page(found, after, _CHUNK):
        writer.writerows([harmless(cell) for cell in _cells(key)] for key in chunk)
        after = chunk[-1].pk
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    if not after:
        yield out.getvalue()


def _cells(key: Any) -> list[str]:
    moments = (key.not_before, key.not_after, key.created_at, key.last_used_at)
    ends = ["" if at is None else at.isoformat(timespec="seconds") for at in moments]
    return [
        key.adapter.dev_eui.upper(),
        key.adapter.serial,
        key.adapter.site.name if key.adapter.site else "",
        key.purpose,
        key.partner,
        "" if key.slot is None else str(key.slot),
        str(key.version),
        key.state,
        key.state_at.isoformat(timespec="seconds"),
        key.check_value.upper(),
        str(key.tag_length),
        *ends,
        (key.failure_code or "") if key.outcome == Delivery.State.FAILED else "",
    ]


def _known(value: str, values: list[str]) -> str:
    return value if value in values else ""
