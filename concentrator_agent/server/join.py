"""The join server: is this request ours, new and authentic, and which session does it open?"""

import random
import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec

from concentrator_agent import store
from concentrator_agent.config import RegionSettings
from concentrator_agent.server import mac, sessions
from edge.sealedfile import Credential
from meterwire.errors import MicMismatch
from meterwire.lorawan.crypto import RootKey
from meterwire.lorawan.frame import JoinAccept, JoinRequest

ADDRESS_BITS: Final = 25  # of a DevAddr under a NetID of type 0 (the first seven name the network)
MAX_ADDRESS_TRIES: Final = 1000
MAX_JOIN_NONCE: Final = 0xFFFFFF


_PURPOSE: Final = "root"
_TRANSPORT_PURPOSE: Final = "transport key of a device"


class JoinRefused(Exception):
    """`reason` as in the event `join_refused`: unknown_key, mic or nonce_used."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Joined(msgspec.Struct, frozen=True):
    """A request that may be answered: `accept` is ready for the air, `write` makes it durable first."""

    dev_addr: int
    epoch: int
    accept: bytes
    write: Callable[[sqlite3.Connection], None]


class JoinServer:
    """Nonce rules of TS001: 1.0.4 counts DevNonce upwards, 1.0.2 and 1.0.3 never repeat one. DevAddr is unique here."""

    def __init__(
        self, read: sqlite3.Connection, credential: Credential, region: RegionSettings, rng: random.Random
    ) -> None:
        self._read = read
        self._credential = credential
        self._region = region
        self._rng = rng
        self.desired = mac.Parameters(
            region.rx_delay_s, region.rx1_dr_offset, region.rx2_dr, region.rx2_frequency, region.channels
        )

    def known(self, request: JoinRequest) -> bool:
        """Whether the device is in our table at all."""
        return store.device(self._read, str(request.dev_eui)) is not None

    def answer(self, phy: bytes, request: JoinRequest) -> Joined:
        """Raises JoinRefused."""
        dev_eui = str(request.dev_eui)
        row = store.device(self._read, dev_eui)
        if row is None or row.root_key is None or row.join_eui != str(request.join_eui):
            raise JoinRefused("unknown_key")
        root = RootKey(open_root_key(self._credential, dev_eui, row.root_key))
        try:
            root.verify_join_request(phy)
        except MicMismatch:
            raise JoinRefused("mic") from None
        random_nonces = row.lorawan != "1.0.4"
        if random_nonces:
            used = store.nonce_used(self._read, dev_eui, request.dev_nonce)
        else:
            used = row.last_dev_nonce is not None and request.dev_nonce <= row.last_dev_nonce
        if used or row.join_nonce >= MAX_JOIN_NONCE:
            raise JoinRefused("nonce_used")
        return self._open_session(row, root, request.dev_nonce, random_nonces)

    def _open_session(self, row: store.DeviceRow, root: RootKey, dev_nonce: int, random_nonces: bool) -> Joined:
        region, desired, dev_eui = self._region, self.desired, row.dev_eui
        join_nonce, dev_addr, epoch = row.join_nonce + 1, self._new_address(), row.joins
        fixed = len(region.plan.default_channels)
        accept = JoinAccept(
            join_nonce,
            region.net_id,
            dev_addr,
            desired.rx1_dr_offset,
            desired.rx2_dr,
            desired.rx_delay_s,
            desired.channels[fixed : fixed + 5],
        )
        keys = root.derive(join_nonce, region.net_id, dev_nonce)
        session = store.SessionRow(
            id=0,
            dev_eui=dev_eui,
            dev_addr=dev_addr,
            epoch=epoch,
            pending=1,
            keys=sessions.seal_keys(self._credential, keys, dev_eui, dev_addr, epoch),
            fcnt_up=0,
            fcnt_down=0,
            counter=None,
            mac=mac.MacState(mac.joined_parameters(region.plan, desired)).encode(),
        )

        def write(connection: sqlite3.Connection) -> None:
            store.record_join(connection, dev_eui, dev_nonce, join_nonce, random=random_nonces)
            store.put_session(connection, session)

        return Joined(dev_addr, epoch, root.encrypt_join_accept(accept), write)

    def _new_address(self) -> int:
        """A random DevAddr of our network that no session here has."""
        prefix = (self._region.net_id & 0x3F) << ADDRESS_BITS
        for _ in range(MAX_ADDRESS_TRIES):
            dev_addr = prefix | self._rng.getrandbits(ADDRESS_BITS)
            if dev_addr and not store.devices_with_address(self._read, dev_addr, 1):
                return dev_addr
        raise JoinRefused("no_address")


def seal_root_key(credential: Credential, dev_eui: str, key: bytes) -> bytes:
    """A 16-byte root key for its device row."""
    return credential.seal(key, _PURPOSE, bytes.fromhex(dev_eui))


def open_root_key(credential: Credential, dev_eui: str, sealed: bytes) -> bytes:
    """The root key of a device row. Raises SealedFileUnreadable under another credential."""
    return credential.open(sealed, _PURPOSE, bytes.fromhex(dev_eui))


def seal_transport_key(credential: Credential, dev_eui: str, key: bytes) -> bytes:
    """A 16-byte key-transport key for its device row."""
    return credential.seal(key, _TRANSPORT_PURPOSE, bytes.fromhex(dev_eui))


def open_transport_key(credential: Credential, dev_eui: str, sealed: bytes) -> bytes:
    """The key-transport key of a device row. Raises SealedFileUnreadable under another credential."""
    return credential.open(sealed, _TRANSPORT_PURPOSE, bytes.fromhex(dev_eui))
