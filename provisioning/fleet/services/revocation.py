"""Revokes a concentrator: from now on neither the broker nor the portal believes it."""

from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet import revocation
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Concentrator


def revoke_concentrator(actor: Actor, concentrator: Concentrator, reason: str) -> Concentrator:
    """Its account at the broker ends, its certificates are revoked, what it sends is a stranger's. There is no way
    back: register it anew. The adapters that it serves stay under it until they are moved. Needs concentrator.revoke.
    """
    require_at(actor, concentrator.organisation_id, concentrator.site_id, "concentrator.revoke")
    reason = validation.text("reason", reason, 200, required=True)
    with audited(concentrator.organisation):
        now = timezone.now()
        rows = Concentrator.objects.filter(pk=concentrator.pk, revoked_at=None, archived_at=None)
        if not rows.update(revoked_at=now, mqtt_password="", online=False, certificate_key="", key_approved_at=None):
            raise Conflict(_("This concentrator was revoked or archived already; look again."))
        concentrator.refresh_from_db()
        record(concentrator.organisation, actor, "concentrator.revoked", concentrator, {"reason": reason})
        revocation.run(actor, concentrator, reason)
    return concentrator
