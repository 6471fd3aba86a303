"""The life of a key: GENERATED or IMPORTED, DELIVERING, ACTIVE, RETIRING, REVOKED, DESTROYED.

Each step is a conditional update on the old state; when it hits no row, somebody else was quicker.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from provisioning import validation
from provisioning.accounts.actors import Actor, System
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import adapter_changed
from provisioning.keys.models import SERVING, DeviceKey, KeyState, Purpose
from provisioning.keys.resealing import waiting

GRACE: Final = timedelta(hours=72)  # so long a replaced key opens late telegrams when nobody said otherwise
# to: from. Only what was revoked is destroyed, so that no key that may still be needed disappears in one step.
STEPS: Final[Mapping[KeyState, frozenset[KeyState]]] = {
    KeyState.DELIVERING: frozenset({KeyState.GENERATED, KeyState.IMPORTED, KeyState.DELIVERING}),
    KeyState.ACTIVE: frozenset({KeyState.GENERATED, KeyState.IMPORTED, KeyState.DELIVERING}),
    KeyState.RETIRING: frozenset({KeyState.ACTIVE}),
    KeyState.REVOKED: frozenset(
        {KeyState.GENERATED, KeyState.IMPORTED, KeyState.DELIVERING, KeyState.ACTIVE, KeyState.RETIRING}
    ),
    KeyState.DESTROYED: frozenset({KeyState.REVOKED}),
}
_REPLACED: Final = frozenset({KeyState.DELIVERING, KeyState.ACTIVE})  # what retires when a later key takes its place
NEVER_LEFT: Final = frozenset({KeyState.GENERATED, KeyState.IMPORTED})
_BRIDGE = System("bridge")


def activate(actor: Actor, key: DeviceKey, reason: str = "") -> DeviceKey:
    """Make a key the active one of its purpose and partner; the one before it retires.

    Conflict for a new LMN key: the gateway's administrator must have it first, then it is delivered.
    """
    _allowed(actor, key)
    if key.purpose == Purpose.LMN and key.state in NEVER_LEFT:
        raise Conflict(
            _("Hand this key over to the gateway's administrator; it is delivered once that is acknowledged.")
        )
    with audited(key.organisation):
        make_active(actor, key, _reason(reason))
    return key


def retire(actor: Actor, key: DeviceKey, reason: str = "") -> DeviceKey:
    """No longer used for new telegrams; late ones still open for the time of GRACE."""
    _allowed(actor, key)
    with audited(key.organisation):
        step(actor, key, KeyState.RETIRING, reason=_reason(reason), grace_until=timezone.now() + GRACE)
    return key


def revoke(actor: Actor, key: DeviceKey, reason: str) -> DeviceKey:
    """Refuse everything under this key from now on."""
    _allowed(actor, key)
    reason = validation.text("reason", reason, 200, required=True)
    with audited(key.organisation):
        make_revoked(actor, key, reason)
    return key


def destroy(actor: Actor, key: DeviceKey, reason: str) -> DeviceKey:
    """Erase a revoked key's sealed value for good; its slot becomes free. The row and the audit stay.

    Conflict while stored telegrams can only be opened with it: the bridge re-seals them by and by.
    """
    _allowed(actor, key)
    reason = validation.text("reason", reason, 200, required=True)
    with audited(key.organisation):
        make_destroyed(actor, key, reason)
    return key


def heard_under(key_ids: Collection[int]) -> list[DeviceKey]:
    """For the bridge: authentic telegrams came under these keys. Those being delivered become active; returns them."""
    activated = []
    rows = DeviceKey.objects.filter(pk__in=key_ids, state=KeyState.DELIVERING).select_related("organisation", "adapter")
    for row in rows.order_by("organisation_id", "pk"):
        with audited(row.organisation):
            if DeviceKey.objects.filter(pk=row.pk, state=KeyState.DELIVERING).exists():
                make_active(_BRIDGE, row, "first telegram heard under it")
                activated.append(row)
    return activated


def mark_used(key_ids: Iterable[int], at: datetime) -> None:
    """For the bridge: note when these keys last opened a telegram. Not audited; call it once per batch at most."""
    DeviceKey.objects.filter(pk__in=list(key_ids)).update(last_used_at=at)


def make_active(actor: Actor, key: DeviceKey, reason: str, grace: timedelta = GRACE, *, told: bool = False) -> None:
    """Retire what came before and activate `key`. The caller has checked the permission and holds the chain.

    A key that was still being delivered when a later one took its place goes with the active one: what is sealed with
    it may be under way, and must not make it the active one again. `told`: in this transaction the concentrator is
    told of the adapter anyway.
    """
    siblings = DeviceKey.objects.filter(adapter_id=key.adapter_id, purpose=key.purpose, partner=key.partner)
    before = Q(state=KeyState.ACTIVE) | Q(state=KeyState.DELIVERING, version__lt=key.version)
    now = timezone.now()
    for sibling in siblings.filter(before).exclude(pk=key.pk):
        step(
            actor, sibling, KeyState.RETIRING, reason="replaced", at=now, leaving=_REPLACED, grace_until=now + grace
        )  # fmt: skip
    step(actor, key, KeyState.ACTIVE, reason=reason, told=told)


def make_revoked(actor: Actor, key: DeviceKey, reason: str) -> None:
    """Revoke `key`; the bridge then has its adapter forget it. The caller has checked the permission."""
    key.refresh_from_db(fields=["state"])
    fields: dict[str, Any] = {"grace_until": None}
    if key.state in NEVER_LEFT:
        fields["forgotten_at"] = timezone.now()
    step(actor, key, KeyState.REVOKED, reason=reason, **fields)


def make_destroyed(actor: Actor, key: DeviceKey, reason: str) -> None:
    """Destroy `key`. The caller has checked the permission. Conflict while stored history needs it."""
    if left := waiting(key):
        message = ngettext(
            "{count} stored telegram only opens with this key; wait until it is sealed anew, and try again.",
            "{count} stored telegrams only open with this key; wait until they are sealed anew, and try again.",
            left,
        )
        raise Conflict(message.format(count=left))
    step(actor, key, KeyState.DESTROYED, reason=reason, sealed=b"", intake=False)


def step(
    actor: Actor,
    key: DeviceKey,
    to: KeyState,
    *,
    reason: str,
    told: bool = False,
    at: datetime | None = None,
    leaving: Collection[KeyState] | None = None,
    **fields: Any,
) -> None:
    """One transition, `at` a time or now. Conflict when the key is in no state of `leaving` (None: those of STEPS)."""
    now = at or timezone.now()
    before = DeviceKey.objects.values_list("state", flat=True).get(pk=key.pk)
    moved = before in (leaving or STEPS[to]) and DeviceKey.objects.filter(pk=key.pk, state=before).update(
        state=to, state_at=now, **fields
    )
    if not moved:
        raise Conflict(
            _("The key is {state}; it cannot become {target} from there.").format(
                state=str(KeyState(before).label).lower(), target=str(to.label).lower()
            )
        )
    key.state, key.state_at = to, now
    for name, value in fields.items():
        setattr(key, name, value)
    if not told and (key.purpose in SERVING or (key.purpose == Purpose.TRANSPORT and key.partner != "portal")):
        adapter_changed(key.adapter)  # the concentrator's device table holds it
    data = {
        "adapter": key.adapter.dev_eui,
        "purpose": key.purpose,
        "version": key.version,
        "slot": key.slot,
        "from": before,
        "reason": reason,
    }
    organisation: Organisation = key.organisation
    record(organisation, actor, f"key.{to.value}", key, data)


def _allowed(actor: Actor, key: DeviceKey) -> None:
    require_at(actor, key.organisation_id, key.adapter.site_id, "keys.lifecycle")


def _reason(reason: str) -> str:
    return validation.text("reason", reason, 200)
