"""Which labels a page is about: the list to choose from, and what somebody chose in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _

from meterwire.errors import IdentifierError
from meterwire.ids import DevEUI
from portal.web.access import Access
from portal.web.adapters import MAX_SEARCH, search
from portal.web.states import State
from provisioning.batches.models import Batch
from provisioning.batches.queries import adapters_of, visible_batches
from provisioning.errors import Invalid
from provisioning.fleet.models import Adapter, Site
from provisioning.fleet.queries import visible_sites
from provisioning.labels.models import OwnerToken
from provisioning.labels.queries import current_tokens, printable_adapters, unprinted, without_label

MAX_LABELS = 480  # 20 sheets of 24; drawing them takes seconds
MAX_PASTED = 20_000  # characters
MAX_NAMED = 5
STATES = ("", "unprinted", "none")


@dataclass(frozen=True, slots=True)
class Choice:
    """The filters of the list: what the query asked for and the member may see."""

    text: str = ""
    state: str = ""
    site: Site | None = None
    batch: Batch | None = None

    @classmethod
    def of(cls, access: Access, query: Mapping[str, str]) -> "Choice":
        """From the query's `q`, `state`, `site` and `batch`; what does not exist is left out."""
        site, batch = _number(query.get("site", "")), _number(query.get("batch", ""))
        state = query.get("state", "")
        return cls(
            query.get("q", "").strip()[:MAX_SEARCH],
            state if state in STATES else "",
            visible_sites(access.user, access.organisation).filter(pk=site).first() if site else None,
            batches(access).filter(pk=batch).first() if batch else None,
        )

    def rows(self, access: Access) -> QuerySet[Adapter]:
        """The adapters that fit, by DevEUI."""
        rows = printable_adapters(access.user, access.organisation)
        if self.site is not None:
            rows = rows.filter(site=self.site)
        if self.batch is not None:
            rows = rows.filter(pk__in=adapters_of(self.batch).values("pk"))
        if self.text:
            rows = rows.filter(pk__in=search(access, self.text))
        if self.state == "unprinted":
            rows = unprinted(rows)
        elif self.state == "none":
            rows = without_label(rows)
        return rows.order_by("dev_eui")


def batches(access: Access) -> QuerySet[Batch]:
    """The batches to choose from, newest first; none for those who may not see batches."""
    if not access.may("batches.import"):
        return Batch.objects.none()
    return visible_batches(access.user, access.organisation).order_by("-created_at", "-pk")


def with_states(rows: list[Adapter]) -> list[tuple[Adapter, OwnerToken | None, State]]:
    """Each adapter with its label's token and state."""
    held = current_tokens([row.pk for row in rows])
    return [(row, held.get(row.pk), state_of(held.get(row.pk))) for row in rows]


def state_of(token: OwnerToken | None) -> State:
    """The state of an adapter's label."""
    if token is None:
        return State("idle", _("no label yet"))
    if token.state == OwnerToken.State.CONSUMED:
        return State("idle", _("used for pairing"))
    if token.printed_at is None:
        return State("warn", _("not printed here"))
    return State("ok", _("printed"))


def chosen(access: Access, choice: Choice, data: QueryDict) -> list[Adapter]:
    """What the form's `which` says: "found" (all that fit the filters), "pasted" DevEUIs, else the ticked rows.

    Raises Invalid with the field that is wrong.
    """
    which = data.get("which", "")
    if which == "found":
        return _bounded("which", list(choice.rows(access)[: MAX_LABELS + 1]))
    if which == "pasted":
        return _pasted(access, data.get("pasted", ""))
    keys = {key for value in data.getlist("adapter")[: MAX_LABELS + 1] if (key := _number(value))}
    return _bounded("adapter", list(printable_adapters(access.user, access.organisation).filter(pk__in=keys)))


def _pasted(access: Access, text: str) -> list[Adapter]:
    """In the order of the list; an adapter named twice is printed once."""
    if len(text) > MAX_PASTED:
        raise Invalid("pasted", _("This list is too long; paste at most {limit} DevEUIs.").format(limit=MAX_LABELS))
    names = list(dict.fromkeys(_dev_eui(word) for word in re.split(r"[\s,;]+", text) if word))
    if len(names) > MAX_LABELS:
        raise Invalid("pasted", _("At most {limit} labels are printed at once.").format(limit=MAX_LABELS))
    found = {row.dev_eui: row for row in printable_adapters(access.user, access.organisation).filter(dev_eui__in=names)}
    if missing := [name.upper() for name in names if name not in found]:
        listed = ", ".join(missing[:MAX_NAMED]) + ("…" if len(missing) > MAX_NAMED else "")
        raise Invalid("pasted", _("There is no adapter {names}.").format(names=listed))
    return _bounded("pasted", [found[name] for name in names])


def _dev_eui(word: str) -> str:
    try:
        return str(DevEUI.parse(word))
    except IdentifierError:
        raise Invalid("pasted", _("“{word}” is no DevEUI of 16 digits.").format(word=word[:40])) from None


def _bounded(field: str, rows: list[Adapter]) -> list[Adapter]:
    if not rows:
        raise Invalid(field, _("Choose at least one adapter."))
    if len(rows) > MAX_LABELS:
        raise Invalid(field, _("At most {limit} labels are printed at once.").format(limit=MAX_LABELS))
    return rows


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0
