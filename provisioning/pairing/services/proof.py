"""Whether the person holds the adapter in hand: its label's owner token, or an operator's right to do without."""

from enum import Enum
from hmac import compare_digest

from django.utils.translation import gettext as _

from meterwire.scan import Scan
from provisioning.accounts.actors import Actor
from provisioning.accounts.permissions import may
from provisioning.fleet.models import Adapter
from provisioning.labels import tokens
from provisioning.labels.models import OwnerToken
from provisioning.pairing.models import Pairing
from provisioning.pairing.services.answers import Refusal

MAX_LABELS = 5  # the latest of an adapter that are still recognised


class Proof(Enum):
    """What a scan proves. USED and REPLACED: a true label of the adapter, though no longer a valid one."""

    NEW = OwnerToken.State.NEW.value
    USED = OwnerToken.State.CONSUMED.value
    REPLACED = OwnerToken.State.REPLACED.value
    RIGHT = "right"
    WRONG = "wrong"


def prove(actor: Actor, adapter: Adapter, scan: Scan) -> Proof:
    """Compares in constant time. Refusal `token_needed` without a token, except for those who may end pairings."""
    token = scan.label.owner_token if scan.label is not None else None
    if token is None:
        if may(actor, adapter.organisation_id, "pairing.end"):
            return Proof.RIGHT
        message = _("This does not prove that you hold the adapter; scan the QR code on its label.")
        raise Refusal(400, "token_needed", message, kept=False, field="adapter_scan")
    found = Proof.WRONG
    for row in OwnerToken.objects.filter(adapter=adapter).order_by("-pk")[:MAX_LABELS]:
        own = tokens.digest(adapter.dev_eui, token[: tokens.MAX_TOKEN], row.pepper)
        if compare_digest(own, row.digest):
            found = Proof(row.state)
    return found


def refuse_old_label(adapter: Adapter, proof: Proof) -> None:
    """A used label still adds inputs to an adapter that is paired, and nothing else; a replaced one does nothing."""
    if proof is Proof.REPLACED:
        message = _("This label was replaced by a newer one; scan that, or ask an operator to print one.")
        raise Refusal(409, "label_replaced", message, field="adapter_scan")
    if proof is Proof.USED and not Pairing.objects.filter(adapter=adapter, to_at=None).exists():
        message = _("This label was used for an earlier pairing; ask an operator to print a new one.")
        raise Refusal(409, "label_used", message, field="adapter_scan")
