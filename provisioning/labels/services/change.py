"""Every change to owner tokens: permission, change, audit, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hmac import compare_digest

from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.errors import Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter
from provisioning.keys.waiting import waiting_sealer
from provisioning.labels import tokens
from provisioning.labels.models import OwnerToken

MAX_AT_ONCE = 10_000
_NEW = OwnerToken.State.NEW


@dataclass(frozen=True, slots=True)
class Adopted:
    """A supplier's token that was digested and sealed on its way in (`prepare`), for the adapter of that DevEUI."""

    digest: str
    pepper: int
    sealed: bytes = field(repr=False)


def issue_token(actor: Actor, adapter: Adapter) -> OwnerToken:
    """A new random token for a new label; an older unused one ends."""
    return issue(actor, adapter)[0]


def adopt_token(actor: Actor, adapter: Adapter, token: str) -> OwnerToken:
    """Take over the token of a label that the supplier has printed."""
    require_at(actor, adapter.organisation_id, adapter.site_id, "labels.print")
    tokens.checked(token)
    with audited(adapter.organisation):
        validation.present(adapter)
        return _keep(actor, adapter, token, "label.token_adopted")


def adopt_tokens(actor: Actor, organisation: Organisation, adopted: Sequence[tuple[Adapter, Adopted]]) -> int:
    """Take over prepared tokens of adapters that have none yet, many at once; returns how many."""
    for site_id in {adapter.site_id for adapter, _one in adopted}:
        require_at(actor, organisation, site_id, "batches.import")
    if len(adopted) > MAX_AT_ONCE:
        raise Invalid("owner_token", _("At most {limit} tokens at once.").format(limit=MAX_AT_ONCE))
    by = user_of(actor)
    with audited(organisation):
        rows = [
            OwnerToken(
                organisation=organisation,
                adapter=adapter,
                digest=one.digest,
                pepper=one.pepper,
                sealed=one.sealed,
                created_by=by,
            )
            for adapter, one in adopted
        ]
        made = OwnerToken.objects.bulk_create(rows, batch_size=500)
        if made:
            record(organisation, actor, "label.tokens_adopted", None, {"count": len(made)})
    return len(made)


def matches(adapter: Adapter | None, token: str) -> bool:
    """Whether `token` is the adapter's unused one. As much work for an adapter that has none, or that is unknown."""
    row = OwnerToken.objects.filter(adapter=adapter, state=_NEW).first() if adapter is not None else None
    pepper = tokens.current_pepper() if row is None else row.pepper
    found = tokens.digest("0" * 16 if adapter is None else adapter.dev_eui, token[: tokens.MAX_TOKEN], pepper)
    return compare_digest(found, "0" * 64 if row is None else row.digest) and row is not None


def consume(actor: Actor, adapter: Adapter) -> None:
    """The token is used up, its sealed copy wiped; a later claim needs a new label. Inside the claim's transaction."""
    held = OwnerToken.objects.filter(adapter=adapter, state=_NEW)
    if held.update(state=OwnerToken.State.CONSUMED, sealed=b"", consumed_at=timezone.now()):
        record(adapter.organisation, actor, "label.token_used", adapter)


def issue(actor: Actor, adapter: Adapter) -> tuple[OwnerToken, str]:
    """`issue_token` for the label that is being printed: the row, and the token itself this once."""
    require_at(actor, adapter.organisation_id, adapter.site_id, "labels.print")
    token = tokens.new_token()
    with audited(adapter.organisation):
        validation.present(adapter)
        return _keep(actor, adapter, token, "label.token_issued"), token


def _keep(actor: Actor, adapter: Adapter, token: str, action: str) -> OwnerToken:
    sealer = waiting_sealer()
    replaced = OwnerToken.objects.filter(adapter=adapter, state=_NEW).update(
        state=OwnerToken.State.REPLACED, sealed=b""
    )
    pepper = tokens.current_pepper()
    with validation.unique(_("Somebody else made a label for this adapter meanwhile; look again.")):
        row = OwnerToken.objects.create(
            organisation_id=adapter.organisation_id,
            adapter=adapter,
            digest=tokens.digest(adapter.dev_eui, token, pepper),
            pepper=pepper,
            sealed=tokens.seal(sealer, adapter.organisation_id, adapter.dev_eui, token),
            created_by=user_of(actor),
        )
    record(adapter.organisation, actor, action, adapter, {"replaced": replaced})
    return row
