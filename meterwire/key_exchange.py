"""The key that adapter and partner agree on over port 34 (claims 4, 7; [0071] to [0077], [0083] to [0088])."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from meterwire.curves import PrivateKey, PublicKey
from meterwire.errors import ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.key_messages.place import Place
from meterwire.seal import InnerKey

_LABEL = b"mspan exchange v1"


def agreed_key(
    own: PrivateKey,
    peer: PublicKey,
    *,
    initiator: PublicKey,
    responder: PublicKey,
    dev_eui: DevEUI,
    place: Place,
    seq: int,
) -> InnerKey:
    """The key of an exchange that the partner (`initiator`) offered with `seq` and the adapter (`responder`) answered.

    HKDF-SHA256 (RFC 5869, no salt) of the ECDH secret, bound to device, place, seq and both public keys. Neither side
    may use an ephemeral key twice. ValueOutOfRange when `own` and `peer` are not the two of the exchange, are of
    different curves, or give no secret.
    """
    if (own.public, peer) not in ((initiator, responder), (responder, initiator)):
        raise ValueOutOfRange("own and peer key are not the two keys of this exchange: begin a new one")
    if not 0 <= seq <= 0xFFFF:
        raise ValueOutOfRange(f"a sequence number is 0 to 65535, not {seq}")
    bound = dev_eui.bytes + bytes((place.octet,)) + seq.to_bytes(2) + initiator.octets + responder.octets
    return InnerKey(HKDF(SHA256(), 16, salt=None, info=_LABEL + bound).derive(own.exchange(peer)), place.tag_length)
