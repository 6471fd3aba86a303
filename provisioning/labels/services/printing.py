"""What stands on a label: the one way in which owner tokens leave the vault in clear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.ids import DevEUI, JoinEUI
from meterwire.label import Label
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter
from provisioning.keys.vault_client import ask
from provisioning.labels.models import OwnerToken
from provisioning.labels.services.change import issue
from provisioning.labels.vault_operation import MAX_AT_ONCE, OPEN_TOKENS, OpenToken, TokensOf

MAX_LABELS = MAX_AT_ONCE
MAX_SERIAL = 20  # a longer one makes the code too fine
_NEW, _CONSUMED = OwnerToken.State.NEW, OwnerToken.State.CONSUMED


@dataclass(frozen=True, slots=True)
class PrintLabel:
    """One label: `text` is what its code holds; it carries the owner token and stays out of `repr`."""

    dev_eui: str
    serial: str
    text: str = field(repr=False)


def print_labels(
    actor: Actor, organisation: Organisation, adapters: Sequence[Adapter], *, reissue: bool = False
) -> list[PrintLabel]:
    """The labels of these adapters in their order; one that has no token gets it now, audited as printed.

    Conflict for an adapter whose token was used: its label proves nothing any more, and only `reissue` makes a new one
    (which also ends a token that is unused). Raises VaultAway when tokens have to be opened and nobody can.
    """
    if not 1 <= len(adapters) <= MAX_LABELS:
        raise Invalid("adapters", _("From 1 to {limit} labels are printed at once.").format(limit=MAX_LABELS))
    for adapter in adapters:
        if adapter.organisation_id != organisation.pk:
            raise Invalid("adapters", _("There is no such object."))
    for site_id in {adapter.site_id for adapter in adapters}:
        require_at(actor, organisation, site_id, "labels.print")
    # Before the transaction: whoever waits for the vault must not hold the organisation's audit chain.
    opened = {} if reissue else _opened(organisation, adapters)
    with audited(organisation):
        made = [_row(actor, adapter, opened.get(adapter.pk), reissue) for adapter in adapters]
        labels = [_label(adapter, token) for adapter, (_pk, token) in zip(adapters, made, strict=True)]
        kept = OwnerToken.objects.filter(pk__in=[pk for pk, _token in made], state=_NEW)
        if kept.update(printed_at=timezone.now()) != len({pk for pk, _token in made}):
            raise Conflict(_("Somebody else used or renewed one of these labels meanwhile; print again."))
        facts = {"count": len(labels), "first": labels[0].dev_eui, "last": labels[-1].dev_eui, "new": reissue}
        record(organisation, actor, "label.printed", adapters[0] if len(adapters) == 1 else None, facts)
    return labels


def open_label(actor: Actor, adapter: Adapter) -> str:
    """The text of one adapter's label, audited as printed."""
    return print_labels(actor, adapter.organisation, [adapter])[0].text


def _opened(organisation: Organisation, adapters: Sequence[Adapter]) -> Mapping[int, OpenToken]:
    held = OwnerToken.objects.filter(adapter__in=adapters)
    new = set(held.filter(state=_NEW).values_list("adapter_id", flat=True))
    used = set(held.filter(state=_CONSUMED).values_list("adapter_id", flat=True)) - new
    if gone := [adapter.dev_eui.upper() for adapter in adapters if adapter.pk in used]:
        raise Conflict(
            _("The label of {dev_eui} was used for pairing ({count} of the chosen ones); make a new label.").format(
                dev_eui=gone[0], count=len(gone)
            )
        )
    if not new:
        return {}
    return {row.adapter: row for row in ask(OPEN_TOKENS, TokensOf(organisation.pk, tuple(new)), list[OpenToken])}


def _row(actor: Actor, adapter: Adapter, opened: OpenToken | None, reissue: bool) -> tuple[int, str]:
    """The token's row and the token."""
    if opened is None and not reissue and OwnerToken.objects.filter(adapter=adapter, state=_NEW).exists():
        raise Conflict(_("Somebody else used or renewed one of these labels meanwhile; print again."))
    if opened is None or reissue:
        row, token = issue(actor, adapter)
        return row.pk, token
    if opened.token is None:
        raise Conflict(
            _("The owner token of {dev_eui} does not open; make a new label.").format(dev_eui=adapter.dev_eui.upper())
        )
    return opened.row, opened.token


def _label(adapter: Adapter, token: str) -> PrintLabel:
    label = Label(
        JoinEUI.parse(adapter.join_eui),
        DevEUI.parse(adapter.dev_eui),
        settings.LABEL_PROFILE,
        owner_token=token,
        serial=_printable(adapter.serial),
    )
    return PrintLabel(adapter.dev_eui, adapter.serial, label.format())


def _printable(serial: str) -> str | None:
    """The serial number as TR005 wants it: capital letters and digits; None when nothing is left, or too much."""
    plain = "".join(c for c in serial.upper() if c.isascii() and c.isalnum())
    return plain if 1 <= len(plain) <= MAX_SERIAL else None
