"""A signed day as a file that a third party can check: with a hash function, openssl, and nothing of ours."""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meterwire.curves import Curve, PublicKey
from meterwire.ids import DevEUI
from meterwire.signed_day import LABEL, leaf, number_of, root
from portal.days.models import VERIFIED, SignedDay
from portal.days.services.evidence import between, gather
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet.access import require_at

FORMAT: Final = "mspan signed day proof v1"
_GROUPS: Final[dict[Curve, ec.EllipticCurve]] = {Curve.P256: ec.SECP256R1(), Curve.BRAINPOOL: ec.BrainpoolP256R1()}


def proof(row: SignedDay) -> dict[str, Any]:
    """Everything needed to check the day, ready for JSON. Conflict where the day is not proven.

    Telegrams whose bytes are not stored any more appear with their leaf hash alone.
    """
    if row.state not in VERIFIED or row.signing_key is None:
        raise Conflict(f"The day {row.day} is not verified ({row.get_state_display()}); there is nothing to prove yet.")
    dev_eui, hashes = DevEUI.parse(row.adapter.dev_eui), dict(gather(row).hashes())
    assert row.first_counter is not None
    assert row.last_counter is not None
    kept = {
        counter: (port, payload)
        for counter, port, payload in between(row, row.first_counter, row.last_counter)
        if hashes.get(counter) == leaf(dev_eui, counter, port, payload)
    }
    telegrams: list[dict[str, Any]] = []
    for counter, digest in hashes.items():
        entry: dict[str, Any] = {"counter": counter, "leaf": digest.hex()}
        if counter in kept:
            entry |= {"port": kept[counter][0], "payload": kept[counter][1].hex()}
        telegrams.append(entry)
    key = PublicKey(bytes.fromhex(row.signing_key.public))
    return {
        "format": FORMAT,
        "label": LABEL.decode(),
        "dev_eui": row.adapter.dev_eui,
        "date": str(row.day),
        "day": number_of(row.day),
        "leaves": row.leaves,
        "first_counter": row.first_counter,
        "last_counter": row.last_counter,
        "root": root(list(hashes.values())).hex(),
        "signature": (bytes(row.r or b"") + bytes(row.s or b"")).hex(),
        "curve": str(key.curve),
        "public_key": key.octets.hex(),
        "public_key_pem": pem(key),
        "announced_at": row.signing_key.announced_at.isoformat(),
        "telegrams": telegrams,
    }


def export(actor: Actor, row: SignedDay) -> dict[str, Any]:
    """The proof, handed out: noted in the audit. Needs readings.export at the adapter's site."""
    require_at(actor, row.organisation_id, row.adapter.site_id, "readings.export")
    found = proof(row)
    with audited(row.organisation):
        data = {"day": str(row.day), "dev_eui": row.adapter.dev_eui, "telegrams": row.leaves}
        record(row.organisation, actor, "signed_day.exported", row, data)
    return found


def pem(key: PublicKey) -> str:
    """The key as other programs read it."""
    point = bytes([key.octets[0] & 0x0F]) + key.octets[1:]
    public = ec.EllipticCurvePublicKey.from_encoded_point(_GROUPS[key.curve], point)
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
