"""Revokes an adapter: all its keys at once, so that nothing of it is believed and nobody serves it any more."""

from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet import revocation
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import adapter_changed
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.services.lifecycle import NEVER_LEFT

_OVER = (KeyState.REVOKED, KeyState.DESTROYED)


def revoke_adapter(actor: Actor, adapter: Adapter, reason: str) -> Adapter:
    """Revoke every key of `adapter` but the one of its stored history; its concentrator drops it from its table.

    Its pairings stay, so that everybody sees what is missing. It serves again after `reinstate_adapter` with new keys.
    Needs keys.lifecycle.
    """
    require_at(actor, adapter.organisation_id, adapter.site_id, "keys.lifecycle")
    reason = validation.text("reason", reason, 200, required=True)
    with audited(adapter.organisation):
        now = timezone.now()
        if not Adapter.objects.filter(pk=adapter.pk, revoked_at=None).update(revoked_at=now):
            raise Conflict(_("This adapter was revoked already."))
        adapter.refresh_from_db()
        keys = DeviceKey.objects.filter(adapter=adapter).exclude(state__in=_OVER).exclude(purpose=Purpose.STORAGE)
        keys.filter(state__in=NEVER_LEFT).update(forgotten_at=now)
        count = keys.update(state=KeyState.REVOKED, state_at=now, grace_until=None)
        adapter_changed(adapter)
        record(adapter.organisation, actor, "adapter.revoked", adapter, {"reason": reason, "keys": count})
        revocation.run_for_adapter(actor, adapter, reason)
    return adapter


def reinstate_adapter(actor: Actor, adapter: Adapter, reason: str) -> Adapter:
    """Let a revoked adapter serve again, with new keys only: issue them and hand its key file over.

    Needs keys.lifecycle.
    """
    require_at(actor, adapter.organisation_id, adapter.site_id, "keys.lifecycle")
    reason = validation.text("reason", reason, 200, required=True)
    with audited(adapter.organisation):
        if not Adapter.objects.filter(pk=adapter.pk, revoked_at__isnull=False).update(revoked_at=None):
            raise Conflict(_("This adapter is not revoked."))
        adapter.refresh_from_db()
        record(adapter.organisation, actor, "adapter.reinstated", adapter, {"reason": reason})
    return adapter
