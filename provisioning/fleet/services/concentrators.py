"""Concentrators: registering, approving their keys, their account at the broker."""

import secrets
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.ids import GatewayEUI
from meterwire.transport_key import fingerprint
from provisioning import changes, validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet import broker, revocation
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import everything_changed
from provisioning.fleet.models import Concentrator, Site


class NewConcentrator(NamedTuple):
    """A concentrator and its broker password, which is stored nowhere and shown once."""

    concentrator: Concentrator
    password: str

    def __repr__(self) -> str:
        return f"NewConcentrator({self.concentrator.eui}, password hidden)"


def register_concentrator(
    actor: Actor,
    organisation: Organisation,
    *,
    eui: str,
    name: str,
    site: Site | None = None,
    public_key: str = "",
) -> NewConcentrator:
    """A new concentrator. `public_key` (64 hex digits, from `concentrator-agent key`) is thereby approved."""
    require_at(actor, organisation, site.pk if site else None, "concentrator.manage")
    validation.same_organisation("site", site, organisation.pk)
    eui = validation.identifier("eui", GatewayEUI.parse, eui)
    name = validation.text("name", name, 120, required=True)
    key = checked_key(public_key) if public_key else ""
    password = broker.new_password()
    with audited(organisation):
        validation.present(site)
        if Concentrator.objects.filter(organisation=organisation, name=name, archived_at=None).exists():
            raise Conflict(_("There is a concentrator '{name}' already; choose another name.").format(name=name))
        with validation.unique(_("A concentrator with this EUI is registered already; check the number.")):
            row = Concentrator.objects.create(
                organisation=organisation,
                site=site,
                eui=eui,
                name=name,
                mqtt_password=_hash(password),
                public_key=key,
                key_approved_at=timezone.now() if key else None,
                key_approved_by=user_of(actor) if key else None,
            )
        data = {"site": site and site.name, "fingerprint": _fingerprint(key)}
        record(organisation, actor, "concentrator.registered", row, data)
    return NewConcentrator(row, password)


def update_concentrator(actor: Actor, concentrator: Concentrator, *, name: str, site: Site | None) -> Concentrator:
    """Set name and site."""
    for site_id in {concentrator.site_id, site.pk if site else None}:
        require_at(actor, concentrator.organisation_id, site_id, "concentrator.manage")
    validation.same_organisation("site", site, concentrator.organisation_id)
    name = validation.text("name", name, 120, required=True)
    with audited(concentrator.organisation):
        validation.present(concentrator, site)
        with validation.unique(_("There is a concentrator '{name}' already; choose another name.").format(name=name)):
            changed = changes.apply(concentrator, name=name, site=site)
        if changed:
            record(concentrator.organisation, actor, "concentrator.updated", concentrator, changed)
    return concentrator


def reset_password(actor: Actor, concentrator: Concentrator) -> NewConcentrator:
    """A new broker password; the old one ends as soon as the broker has read its new password file."""
    require_at(actor, concentrator.organisation_id, concentrator.site_id, "concentrator.manage")
    password = broker.new_password()
    with audited(concentrator.organisation):
        validation.present(concentrator)
        if not Concentrator.objects.filter(pk=concentrator.pk, revoked_at=None).update(mqtt_password=_hash(password)):
            raise Conflict(_("This concentrator was revoked; archive it and register it anew."))
        concentrator.refresh_from_db()
        record(concentrator.organisation, actor, "concentrator.password_reset", concentrator)
    return NewConcentrator(concentrator, password)


def approve_key(actor: Actor, concentrator: Concentrator, shown: str) -> Concentrator:
    """Pin the announced public key, whose fingerprint the actor compared with `concentrator-agent key`.

    `shown` is that fingerprint as it stood on the page. Conflict when another key was announced meanwhile.
    """
    require_at(actor, concentrator.organisation_id, concentrator.site_id, "concentrator.manage")
    with audited(concentrator.organisation):
        validation.present(concentrator)
        row = Concentrator.objects.select_for_update().get(pk=concentrator.pk)
        if row.revoked_at is not None:
            raise Conflict(_("This concentrator was revoked; archive it and register it anew."))
        if not row.announced_key:
            raise Conflict(_("The concentrator has announced no key; start it and wait until it is online."))
        if _fingerprint(row.announced_key) != shown.strip().lower():
            raise Conflict(_("The concentrator announces another key than the one you compared; look again."))
        before = row.public_key
        row.public_key = checked_key(row.announced_key)
        row.key_approved_at, row.key_approved_by = timezone.now(), user_of(actor)
        row.save(update_fields=["public_key", "key_approved_at", "key_approved_by"])
        everything_changed(row.pk)
        data = {"fingerprint": _fingerprint(row.public_key), "before": _fingerprint(before)}
        record(row.organisation, actor, "concentrator.key_approved", row, data)
    concentrator.refresh_from_db()
    return concentrator


def archive_concentrator(actor: Actor, concentrator: Concentrator) -> None:
    """Put a concentrator away; it may no longer connect. Conflict while adapters are served by it."""
    require_at(actor, concentrator.organisation_id, concentrator.site_id, "concentrator.manage")
    with audited(concentrator.organisation):
        if concentrator.adapters.filter(archived_at=None).exists():
            raise Conflict(_("Adapters are served by this concentrator; move them to another one first."))
        now = timezone.now()
        if Concentrator.objects.filter(pk=concentrator.pk, archived_at=None).update(
            archived_at=now, mqtt_password="", online=False
        ):
            concentrator.refresh_from_db()
            revocation.run(actor, concentrator, "archived")
            record(concentrator.organisation, actor, "concentrator.archived", concentrator)


def checked_key(public_key: str) -> str:
    """64 lower-case hex digits of an X25519 public key that can be used. Raises Invalid."""
    public_key = validation.hexadecimal("public_key", public_key, 64)
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(public_key)))
    except ValueError:
        raise Invalid("public_key", _("This is no usable X25519 key; copy it from `concentrator-agent key`.")) from None
    return public_key


def _hash(password: str) -> str:
    return broker.password_hash(password, secrets.token_bytes(broker.SALT_BYTES))


def _fingerprint(public_key: str) -> str:
    return fingerprint(bytes.fromhex(public_key)) if public_key else ""
