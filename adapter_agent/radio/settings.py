"""Who the device is and what it was configured to do on the radio."""

from dataclasses import dataclass

from meterwire.ids import DevEUI, JoinEUI
from meterwire.lorawan.crypto import RootKey
from meterwire.lorawan.region import Region


@dataclass(frozen=True, slots=True)
class Identity:
    """The key is hidden in `root`."""

    dev_eui: DevEUI
    join_eui: JoinEUI
    root: RootKey


@dataclass(frozen=True, slots=True)
class MacSettings:
    """`data_rate`: the fastest to use. `power_dbm`: highest EIRP. `confirm_tries`: transmissions of a confirmed uplink.

    After `rejoin_after` confirmed uplinks without an answer the device asks to join again, keeping its session.
    """

    region: Region
    data_rate: int = 5
    power_dbm: int = 14
    confirm_tries: int = 4
    rejoin_after: int = 3
