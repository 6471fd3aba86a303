"""The key-transport keys that the portal shares with an adapter, opened when they are needed and not kept."""

from django.db.models import QuerySet

from meterwire.errors import AuthenticationError
from meterwire.ids import DevEUI
from meterwire.key_messages import mac_keys, verify
from meterwire.seal import Key16
from provisioning.fleet.models import Adapter
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.vault import Vault

PORTAL = "portal"
# While it is being replaced an adapter answers under either one: the new one is proved by its first use.
_USABLE = (KeyState.ACTIVE, KeyState.DELIVERING, KeyState.RETIRING)


def transport_key(adapter: Adapter, vault: Vault) -> Key16:
    """The active one, for requests. KeyDamaged when there is none that opens."""
    row = _rows(adapter).filter(state=KeyState.ACTIVE, partner=PORTAL).first()
    if row is None:
        raise KeyDamaged(f"Portal and {adapter.dev_eui} share no key-transport key; provision the adapter anew.")
    return vault.open(row)


def authenticate(adapter: Adapter, payload: bytes, vault: Vault) -> str:
    """The partner under whose key the adapter sent it: the portal, or a concentrator by its EUI. AuthenticationError
    for a message under none of them.
    """
    dev_eui = DevEUI.parse(adapter.dev_eui)
    rows = _rows(adapter).filter(state__in=_USABLE).order_by("-version")
    for row in sorted(rows, key=lambda row: row.partner != PORTAL):
        try:
            verify(payload, mac_keys(vault.open(row)).up, dev_eui)
        except (AuthenticationError, KeyDamaged):
            continue
        return row.partner
    raise AuthenticationError("a message on port 34 is under none of the adapter's key-transport keys, or was changed")


def _rows(adapter: Adapter) -> QuerySet[DeviceKey]:
    return DeviceKey.objects.filter(adapter=adapter, purpose=Purpose.TRANSPORT)
