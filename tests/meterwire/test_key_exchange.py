"""Both sides agree on one key, which openssl and RFC 5869 give, too; whatever differs gives another."""

import hmac
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from meterwire.curves import Curve, PrivateKey, PublicKey
from meterwire.errors import ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.key_exchange import agreed_key
from meterwire.key_messages import ExchangeAnswer, ExchangeConfirm, ExchangeOffer, KeyPurpose, Place, decode
from meterwire.seal import InnerKey
from tests.meterwire.vectors import load

VECTORS = load("key_messages")
DEV_EUI = DevEUI.parse(VECTORS["dev_eui"])
PLACE = Place(KeyPurpose.INNER, 2)
GROUPS = {Curve.P256: ec.SECP256R1(), Curve.BRAINPOOL: ec.BrainpoolP256R1()}
entropy = st.binary(min_size=48, max_size=48)


def agreed(own: PrivateKey, peer: PublicKey, *, first: bool, **changes: Any) -> InnerKey:
    initiator, responder = (own.public, peer) if first else (peer, own.public)
    context: dict[str, Any] = {
        "initiator": initiator,
        "responder": responder,
        "dev_eui": DEV_EUI,
        "place": PLACE,
        "seq": 8,
    }
    return agreed_key(own, peer, **{**context, **changes})


def hkdf(secret: bytes, initiator: PublicKey, responder: PublicKey) -> bytes:
    """RFC 5869 written out."""
    info = b"mspan exchange v1" + DEV_EUI.bytes + b"\x12\x00\x08" + initiator.octets + responder.octets
    return hmac.digest(hmac.digest(bytes(32), secret, "sha256"), info + b"\x01", "sha256")[:16]


@given(st.sampled_from(Curve), entropy, entropy)
def test_both_sides_agree(curve: Curve, one: bytes, two: bytes) -> None:
    partner, adapter = PrivateKey.generate(curve, one), PrivateKey.generate(curve, two)

    assert agreed(partner, adapter.public, first=True) == agreed(adapter, partner.public, first=False)


def test_the_messages_of_the_vectors_lead_to_the_agreed_key() -> None:
    sent = {vector["name"]: bytes.fromhex(vector["bytes"]) for vector in VECTORS["messages"]}
    offer = decode(sent["ExchangeOffer"], up=False)
    answer = decode(sent["ExchangeAnswer"], up=True)
    confirm = decode(sent["ExchangeConfirm"], up=False)
    assert isinstance(offer, ExchangeOffer)
    assert isinstance(answer, ExchangeAnswer)
    assert isinstance(confirm, ExchangeConfirm)
    adapter = PrivateKey(Curve.P256, bytes.fromhex(VECTORS["responder_private"]))
    key = agreed_key(
        adapter,
        offer.public,
        initiator=offer.public,
        responder=answer.public,
        dev_eui=DEV_EUI,
        place=offer.place,
        seq=offer.seq,
    )

    assert key.reveal().hex() == VECTORS["agreed_key"]
    assert key.check_value() == confirm.check


@pytest.mark.parametrize("curve", Curve)
def test_openssl_and_rfc_5869_come_to_the_same_key(curve: Curve, tmp_path: Path) -> None:
    partner, adapter = (PrivateKey.generate(curve, bytes(range(start, start + 48))) for start in (0, 48))
    (tmp_path / "own.pem").write_bytes(
        foreign(partner).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    public = foreign(adapter).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "peer.pem").write_bytes(public)
    command = ["openssl", "pkeyutl", "-derive", "-inkey", "own.pem", "-peerkey", "peer.pem"]
    secret = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout

    key = agreed(adapter, partner.public, first=False)
    assert key.reveal() == hkdf(secret, partner.public, adapter.public)


def foreign(key: PrivateKey) -> X25519PrivateKey | ec.EllipticCurvePrivateKey:
    if key.curve is Curve.X25519:
        return X25519PrivateKey.from_private_bytes(key.reveal())
    return ec.derive_private_key(int.from_bytes(key.reveal()), GROUPS[key.curve])


def test_whatever_belongs_to_another_exchange_gives_another_key() -> None:
    partner, adapter, stranger = (PrivateKey.generate(Curve.X25519, bytes([fill] * 48)) for fill in (1, 2, 3))
    keys = [
        agreed(adapter, partner.public, first=False),
        agreed(adapter, partner.public, first=False, seq=9),
        agreed(adapter, partner.public, first=False, dev_eui=DevEUI.parse("70b3d57ed0061235")),
        agreed(adapter, partner.public, first=False, place=Place(KeyPurpose.INNER, 3)),
        agreed(adapter, partner.public, first=False, place=Place(KeyPurpose.LMN, 2)),
        agreed(adapter, partner.public, first=False, place=Place(KeyPurpose.INNER, 2, 8)),
        agreed(adapter, partner.public, first=True),
        agreed(adapter, stranger.public, first=False),
    ]
    assert len({key.reveal() for key in keys}) == len(keys)
    assert keys[5].tag_length == 8


def test_keys_that_are_not_those_of_the_exchange_are_refused() -> None:
    partner, adapter, stranger = (PrivateKey.generate(Curve.P256, bytes([fill] * 48)) for fill in (1, 2, 3))
    with pytest.raises(ValueOutOfRange, match="two keys of this exchange"):
        agreed(adapter, partner.public, first=False, initiator=stranger.public)
    with pytest.raises(ValueOutOfRange, match="sequence number"):
        agreed(adapter, partner.public, first=False, seq=65_536)
    with pytest.raises(ValueOutOfRange, match="small order"):
        agreed(PrivateKey.generate(Curve.X25519, bytes(range(48))), PublicKey(b"\x01" + bytes(32)), first=False)
