"""Signing keys: the first one is believed under the transport key, and every later one is reported."""

from datetime import datetime
from typing import Final

from meterwire import signed_day
from meterwire.errors import AuthenticationError, ReplayError
from meterwire.ids import DevEUI
from meterwire.key_messages import MacKeys, mac_keys
from portal.days.models import SigningKey
from portal.telemetry.services import note_event
from provisioning.accounts.actors import System
from provisioning.audit.services import audited, record
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.vault import Vault

BRIDGE: Final = System("bridge")
PORTAL: Final = "portal"
_HELD: Final = [KeyState.GENERATED, KeyState.IMPORTED, KeyState.DELIVERING, KeyState.ACTIVE, KeyState.RETIRING]


def transport_keys(adapter: Adapter) -> list[DeviceKey]:
    """The key-transport keys that adapter and portal may share now, the one in use first."""
    rows = DeviceKey.objects.filter(adapter=adapter, purpose=Purpose.TRANSPORT, partner=PORTAL, state__in=_HELD)
    return sorted(rows, key=lambda row: (row.state != KeyState.ACTIVE, -row.version))


def macs(vault: Vault, key: DeviceKey) -> MacKeys:
    """What authenticates port 34 under a transport key. Raises KeyDamaged."""
    return mac_keys(vault.open(key))


def announce(adapter: Adapter, payload: bytes, frame: signed_day.SigningKey, vault: Vault, now: datetime) -> bool:
    """Take over an announced key; whether it is new.

    AuthenticationError when no transport key fits, ReplayError for a key that was in use before.
    """
    version = _authenticated(adapter, payload, vault)
    with audited(adapter.organisation):
        newest = SigningKey.objects.filter(adapter=adapter).order_by("-pk").first()
        public = frame.public.octets.hex()
        if newest is not None and newest.public == public:
            return False
        known = SigningKey.objects.filter(adapter=adapter, public=public).exists()
        if newest is not None and (known or (version <= newest.transport_version and frame.seq <= newest.seq)):
            raise ReplayError("an adapter's old signing key was announced again; nothing was changed")
        row = SigningKey.objects.create(
            organisation=adapter.organisation,
            adapter=adapter,
            seq=frame.seq,
            public=public,
            transport_version=version,
            announced_at=now,
        )
        data = {"seq": frame.seq, "curve": str(frame.public.curve), "public": public, "dev_eui": adapter.dev_eui}
        if newest is None:
            record(adapter.organisation, BRIDGE, "signing_key.trusted", row, data)
        else:
            record(adapter.organisation, BRIDGE, "signing_key.changed", row, data | {"before": newest.public})
            note_event(adapter, "security", "signing_key_changed", {"seq": frame.seq}, at=now, once=public)
    return True


def _authenticated(adapter: Adapter, payload: bytes, vault: Vault) -> int:
    """The version of the transport key under which the announcement is authentic."""
    dev_eui = DevEUI.parse(adapter.dev_eui)
    for key in transport_keys(adapter):
        try:
            signed_day.authenticate(payload, macs(vault, key).up, dev_eui)
        except AuthenticationError:
            continue
        return key.version
    raise AuthenticationError("an announced signing key is not authentic; nothing was changed")
