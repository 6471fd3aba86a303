"""Port 34: keys delivered, agreed, confirmed and revoked between an adapter and its partner (claims 4, 7; [0087])."""

from meterwire.key_messages.codec import MAX_PAYLOAD, MESSAGES, PORT, Message, decode
from meterwire.key_messages.down import Down, ExchangeConfirm, ExchangeOffer, KeyDelivery, KeyRevoke
from meterwire.key_messages.place import KeyPurpose, Place, Result
from meterwire.key_messages.protection import MacKeys, mac_keys, unwrap, verify, wrap
from meterwire.key_messages.up import (
    DeliveryAnswer,
    ExchangeAnswer,
    ExchangeResult,
    HeldKey,
    KeyReport,
    RevokeAnswer,
    Up,
)

__all__ = [
    "MAX_PAYLOAD",
    "MESSAGES",
    "PORT",
    "DeliveryAnswer",
    "Down",
    "ExchangeAnswer",
    "ExchangeConfirm",
    "ExchangeOffer",
    "ExchangeResult",
    "HeldKey",
    "KeyDelivery",
    "KeyPurpose",
    "KeyReport",
    "KeyRevoke",
    "MacKeys",
    "Message",
    "Place",
    "Result",
    "RevokeAnswer",
    "Up",
    "decode",
    "mac_keys",
    "unwrap",
    "verify",
    "wrap",
]
