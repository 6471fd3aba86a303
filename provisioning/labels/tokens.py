"""The keyed digest and the sealed copy of an owner token; the token itself is never kept."""

import hmac
import secrets
from hashlib import sha256

from django.utils.translation import gettext as _

from meterwire.label import owner_token
from provisioning.accounts.tokens import peppers
from provisioning.derivation import derive
from provisioning.errors import Invalid
from provisioning.keys.context import waiting_context
from provisioning.keys.waiting import WaitingSealer

MIN_TOKEN, MAX_TOKEN = 8, 64  # characters; a supplier's may be shorter than ours of 26
_PURPOSE, _PARTNER = "owner_token", "label"


def new_token() -> str:
    """A random one of 128 bits, 26 characters."""
    return owner_token(secrets.token_bytes(16))


def checked(token: str) -> str:
    """A token as a label can carry it: upper-case letters and digits. Raises Invalid."""
    if not MIN_TOKEN <= len(token) <= MAX_TOKEN or not token.isascii() or not token.isalnum() or token != token.upper():
        raise Invalid(
            "owner_token",
            _("An owner token is {least} to {most} capital letters and digits.").format(
                least=MIN_TOKEN, most=MAX_TOKEN
            ),
        )
    return token


def current_pepper() -> int:
    """The number of the pepper that new tokens are kept under."""
    return max(peppers())


def digest(dev_eui: str, token: str, pepper: int) -> str:
    """HMAC-SHA256 over DevEUI and token under that pepper, 64 hex digits; KeyError for an unknown pepper."""
    key = derive(peppers()[pepper], "mspan owner token v1")
    return hmac.new(key, f"{dev_eui}|{token}".encode("utf-8", "surrogatepass"), sha256).hexdigest()


def place(organisation_id: int, dev_eui: str) -> bytes:
    """What a sealed copy is bound to."""
    return waiting_context(organisation_id, dev_eui, 0, _PURPOSE, _PARTNER)


def seal(sealer: WaitingSealer, organisation_id: int, dev_eui: str, token: str) -> bytes:
    """The copy that only the vault opens."""
    return sealer.seal(token.encode("ascii"), place(organisation_id, dev_eui))
