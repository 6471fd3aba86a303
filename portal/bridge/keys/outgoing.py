"""What the adapter is sent for a delivery or a notice: always the same bytes, however often it is repeated."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from meterwire import messages
from meterwire.curves import PublicKey
from meterwire.ids import DevEUI
from meterwire.key_messages import PORT, Down, ExchangeConfirm, ExchangeOffer, KeyDelivery, KeyRevoke, mac_keys, wrap
from meterwire.messages import DownlinkCommand
from meterwire.seal import Key16
from portal.bridge.keys.transport import transport_key
from portal.telemetry.models import AdapterStatus
from provisioning.campaigns.models import Delivery, Method, Notice
from provisioning.campaigns.places import place_of, place_of_key
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey
from provisioning.keys.vault import Vault

PRIORITY: Final = 7  # after configurations, before everything else
LEAST_WAIT: Final = timedelta(minutes=15)
MOST_WAIT: Final = timedelta(days=1)


def for_delivery(row: Delivery, transport: Key16, vault: Vault) -> Down:
    """The request that is under way. KeyDamaged when its key does not open."""
    assert row.seq is not None
    place = place_of(row)
    if row.key is None:
        return ExchangeOffer(row.seq, place, PublicKey(bytes.fromhex(row.public)))
    if row.campaign.method == Method.EXCHANGE:
        return ExchangeConfirm(row.seq, place, *_validity(row.key), bytes.fromhex(row.key.check_value))
    key = vault.open(row.key)
    return KeyDelivery(row.seq, place, *_validity(row.key), wrap(transport, key), key.check_value())


def for_notice(row: Notice) -> Down:
    """The proof that a key was heard, or its revocation."""
    assert row.seq is not None
    place = place_of_key(row.key)
    if row.kind == Notice.Kind.REVOKE:
        return KeyRevoke(row.seq, place)
    return ExchangeConfirm(row.seq, place, *_validity(row.key), bytes.fromhex(row.key.check_value))


def command(
    adapter: Adapter, request: Down, transport: Key16, *, name: str, at: datetime, until: datetime
) -> DownlinkCommand:
    """The message that carries `request`. `name` and `at` tell the sending: the same ones give the same id, so that
    two bridges which send it at once send it once.
    """
    payload = request.encode(mac_keys(transport).down, DevEUI.parse(adapter.dev_eui))
    return DownlinkCommand(
        id=messages.ulid(at.timestamp(), sha256(f"key {name}".encode()).digest()[:10]),
        time=messages.timestamp(at.timestamp()),
        dev_eui=adapter.dev_eui,
        fport=PORT,
        payload=payload,
        expires_at=messages.timestamp(until.timestamp()),
        confirmed=True,
        priority=PRIORITY,
    )


def patience(adapter: Adapter) -> timedelta:
    """How long an answer is waited for: two reporting intervals, at least a quarter of an hour."""
    period = AdapterStatus.objects.filter(pk=adapter.pk).values_list("period_s", flat=True).first()
    return min(max(LEAST_WAIT, timedelta(seconds=2 * (period or 0.0))), MOST_WAIT)


def request_for(row: Delivery, vault: Vault) -> tuple[Down, Key16]:
    """The request of a delivery and the key-transport key it goes under. KeyDamaged."""
    transport = transport_key(row.adapter, vault)
    return for_delivery(row, transport, vault), transport


def _validity(key: DeviceKey) -> tuple[int | None, int | None]:
    return _unix(key.not_before), _unix(key.not_after)


def _unix(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
