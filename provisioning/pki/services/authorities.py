"""The issuing authority: made once, replaced before it ends, retired when nothing of it is valid any more."""

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.db import transaction

from meterwire.curves import SIGNING, Curve, PrivateKey
from provisioning import validation
from provisioning.accounts.actors import Actor, System
from provisioning.accounts.models import Organisation
from provisioning.audit.services import record
from provisioning.errors import Conflict, Forbidden
from provisioning.keys.vault import Vault
from provisioning.pki import build, hardware, signing
from provisioning.pki.models import Authority, Certificate
from provisioning.pki.queries import active_authority
from provisioning.pki.services.lists import publish

LIFE: Final = timedelta(days=3653)
SERVER_LIFE: Final = timedelta(days=397)


def create_authority(
    actor: Actor,
    vault: Vault,
    *,
    name: str,
    curve: Curve,
    now: datetime,
    replace: bool = False,
    in_token: bool = False,
) -> Authority:
    """A new issuing authority with a key of its own and an empty list. Conflict when there is one and not `replace`.

    One replaced signs lists further on and is trusted until its last certificate ends. `in_token`: its key is made in
    the PKCS#11 token and stays there. Only for commands.
    """
    if not isinstance(actor, System):
        raise Forbidden("An authority is made with manage.py pki_init on the portal's machine.")
    name = validation.text("name", name, 48, required=True)
    curve = Curve(validation.choice("curve", curve, sorted(SIGNING)))
    with transaction.atomic():
        present = active_authority()
        if present is not None and not replace:
            raise Conflict(f"There is an authority already, {present.name}; say --replace to make its successor.")
        Authority.objects.filter(active=True).update(active=False)
        number = Authority.objects.count() + 1
        title = f"{name} G{number}"
        label = f"mspan pki {title}" if in_token else ""
        own = None if in_token else signing.new_key(curve)
        key = hardware.generate(label, curve) if own is None else signing.loaded(own)
        term = build.Term(signing.new_serial(), now - signing.BACKDATED, now + LIFE)
        made = build.authority(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)]), key, term)
        authority = Authority.objects.create(
            name=title,
            curve=curve,
            certificate=made.public_bytes(Encoding.DER),
            sealed=b"" if own is None else signing.seal(vault, title, own),
            token_label=label,
        )
        publish(vault, authority, now)
        _tell_everybody(actor, "authority.created", authority, {"fingerprint": fingerprint(authority)})
    return authority


def issue_server_certificate(
    actor: Actor, vault: Vault, hosts: list[str], key: PrivateKey, now: datetime
) -> Certificate:
    """A certificate for the listener at `hosts` (names or addresses). Only for commands; Conflict without authority."""
    if not isinstance(actor, System):
        raise Forbidden("A server's certificate is made with manage.py pki_init on the portal's machine.")
    hosts = [validation.text("hosts", host, 64, required=True) for host in hosts]
    with transaction.atomic():
        authority = active_authority()
        if authority is None:
            raise Conflict("There is no authority yet; run manage.py pki_init first.")
        term = build.Term(signing.new_serial(), now - signing.BACKDATED, min(now + SERVER_LIFE, ends(authority)))
        public = signing.loaded(key).public_key()
        made = build.server(signing.signer(vault, authority), hosts, public, term)
        certificate = Certificate.objects.create(
            authority=authority,
            name=hosts[0],
            serial=f"{term.serial:x}",
            key=key.public.octets.hex(),
            der=made.public_bytes(Encoding.DER),
            not_before=term.not_before,
            not_after=term.not_after,
        )
        _tell_everybody(actor, "certificate.issued", certificate, {"hosts": hosts, "serial": certificate.serial})
    return certificate


def retire_ended(now: datetime) -> int:
    """Stop trusting replaced authorities none of whose certificates is valid any more; returns how many."""
    valid = Certificate.objects.filter(not_after__gt=now).values("authority_id")
    count = 0
    for authority in Authority.objects.filter(active=False, retired_at=None).exclude(pk__in=valid):
        with transaction.atomic():
            if Authority.objects.filter(pk=authority.pk, retired_at=None).update(retired_at=now):
                _tell_everybody(System("certificates"), "authority.retired", authority, {})
                count += 1
    return count


def fingerprint(authority: Authority) -> str:
    """SHA-256 of its certificate, 64 hex digits: what a concentrator can pin."""
    return x509.load_der_x509_certificate(bytes(authority.certificate)).fingerprint(SHA256()).hex()


def ends(authority: Authority) -> datetime:
    """When its own certificate ends."""
    return x509.load_der_x509_certificate(bytes(authority.certificate)).not_valid_after_utc


def _tell_everybody(actor: Actor, action: str, subject: Authority | Certificate, data: dict[str, object]) -> None:
    """Into every organisation's chain: an authority is everybody's trust anchor."""
    for organisation in Organisation.objects.order_by("pk"):
        record(organisation, actor, action, subject, data)
