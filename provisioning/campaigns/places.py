"""Where a key belongs in an adapter, as port 34 names it."""

from typing import Final

from meterwire.key_messages import KeyPurpose, Place
from provisioning.campaigns.models import Delivery
from provisioning.keys.models import SLOTTED, DeviceKey, Purpose
from provisioning.keys.services.issue import INPUT

CODES: Final = {
    Purpose.INNER: KeyPurpose.INNER,
    Purpose.LMN: KeyPurpose.LMN,
    Purpose.CONTROL_UP: KeyPurpose.CONTROL_UP,
    Purpose.CONTROL_DOWN: KeyPurpose.CONTROL_DOWN,
    Purpose.GROUP_CONTROL: KeyPurpose.GROUP_CONTROL,
    Purpose.TRANSPORT: KeyPurpose.TRANSPORT,
    Purpose.METER: KeyPurpose.METER,
}
# Made elsewhere, by a meter's maker or for a gateway: only those that are there are delivered, the same ones again.
WAITING: Final = frozenset({Purpose.METER, Purpose.LMN})
HEARD: Final = SLOTTED  # telegrams name their key, so that its use is heard; all others serve once confirmed


def place_of(delivery: Delivery) -> Place:
    """Of the key on its way, agreed or not. KeyError for a purpose that never travels."""
    if delivery.key is not None:
        return place_of_key(delivery.key)
    return Place(CODES[Purpose(delivery.campaign.purpose)], delivery.slot or 0, delivery.tag_length)


def place_of_key(key: DeviceKey) -> Place:
    """The slot of a meter's own key is its input; keys without a slot have 0."""
    slot = key.slot or 0
    if key.purpose == Purpose.METER and (match := INPUT.fullmatch(key.partner)):
        slot = int(match[1])
    return Place(CODES[Purpose(key.purpose)], slot, key.tag_length)
