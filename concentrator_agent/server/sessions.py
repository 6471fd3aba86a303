"""The sessions in use: cipher contexts and counters of at most so many devices, all others in the store."""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

import msgspec

from concentrator_agent import store
from concentrator_agent.server import mac
from concentrator_agent.server.track import Track
from edge.sealedfile import Credential
from meterwire.lorawan.crypto import Session as Crypto
from meterwire.lorawan.crypto import SessionKeys
from meterwire.slots import Slot

SAME_ADDRESS_LIMIT: Final = 16  # devices that are tried for one DevAddr
FCNT_DOWN_BLOCK: Final = 16
FCNT_DOWN_PER_UPLINK: Final = 2  # RX1 and RX2 may need different frames
_PURPOSE: Final = "session"


class Session:
    """One activation of one device, with its contexts. Counters are the next ones due.

    `down_bound` is stored: counters below it may be used, and after a restart counting goes on there.
    """

    __slots__ = (
        "counter",
        "crypto",
        "dev_addr",
        "down_bound",
        "epoch",
        "id",
        "mac",
        "mac_blob",
        "next_down",
        "next_up",
        "pending",
    )

    def __init__(self, row: store.SessionRow, keys: SessionKeys) -> None:
        self.id = row.id
        self.dev_addr = row.dev_addr
        self.epoch = row.epoch
        self.pending = bool(row.pending)
        self.crypto = Crypto(keys, row.dev_addr)
        self.next_up = row.fcnt_up
        self.next_down = self.down_bound = row.fcnt_down
        self.counter = row.counter
        self.mac_blob = row.mac
        self.mac = mac.decode_state(row.mac)

    def reserve_down(self) -> bool:
        """Make sure of the downlink counters that one uplink may need; true when the new bound must be stored first."""
        if self.next_down + FCNT_DOWN_PER_UPLINK <= self.down_bound:
            return False
        self.down_bound += FCNT_DOWN_BLOCK
        return True

    @property
    def may_take_down(self) -> bool:
        """Whether a downlink counter is left of what was reserved for this uplink."""
        return self.next_down < self.down_bound

    def take_down(self) -> int:
        """The next downlink counter; only from what is reserved and stored."""
        if self.next_down >= self.down_bound:
            raise RuntimeError("no downlink counter is reserved")
        self.next_down += 1
        return self.next_down - 1

    def progress(self) -> store.Progress:
        return store.Progress(self.next_up, self.down_bound, self.counter, self.mac_blob, self.id)


class Device:
    """A device of the table with its one or two sessions (an old one stays until the new one is heard)."""

    __slots__ = ("dev_eui", "is_foreign", "lorawan", "sessions", "slot", "track")

    def __init__(self, row: store.DeviceRow) -> None:
        self.slot = _slot(row)
        self.track: bytes | Track | None = None  # as stored until it is needed
        self.dev_eui = row.dev_eui
        self.lorawan = row.lorawan
        self.is_foreign = bool(row.is_foreign)
        self.sessions: list[Session] = []

    @property
    def active(self) -> Session | None:
        return next((session for session in self.sessions if not session.pending), None)


class Sessions:
    """Devices by DevAddr, least recently used first out; `read` is the store as committed."""

    def __init__(self, read: sqlite3.Connection, credential: Credential, limit: int) -> None:
        self._read = read
        self._credential = credential
        self._limit = limit
        self._devices: OrderedDict[str, Device] = OrderedDict()
        self._addresses: dict[int, list[str]] = {}
        self._busy: frozenset[str] | set[str] = frozenset()

    def __len__(self) -> int:
        return len(self._devices)

    def candidates(self, dev_addr: int) -> Iterator[tuple[Device, Session]]:
        """Every session with this address."""
        dev_euis = self._addresses.get(dev_addr)
        if dev_euis is None:
            dev_euis = store.devices_with_address(self._read, dev_addr, SAME_ADDRESS_LIMIT)
            if not dev_euis:
                return
            self._addresses[dev_addr] = dev_euis
        for dev_eui in dev_euis:
            device = self.device(dev_eui)
            if device is not None:
                for session in device.sessions:
                    if session.dev_addr == dev_addr:
                        yield device, session

    def device(self, dev_eui: str) -> Device | None:
        device = self._devices.get(dev_eui)
        if device is not None:
            self._devices.move_to_end(dev_eui)
            return device
        row = store.device(self._read, dev_eui)
        if row is None:
            return None
        device = Device(row)
        for session_row in store.sessions_of(self._read, dev_eui):
            keys = open_keys(self._credential, session_row)
            device.sessions.append(Session(session_row, keys))
        if device.slot is not None:
            device.track = store.track(self._read, dev_eui)
        self._devices[dev_eui] = device
        self._trim()
        return device

    def protect(self, busy: set[str]) -> None:
        """Keep the devices in `busy`, a set that may grow, until the next call: their state is not in the store yet."""
        self._busy = busy
        self._trim()

    def forget(self, dev_eui: str) -> None:
        """The store is right again: something changed there, or a commit failed."""
        device = self._devices.pop(dev_eui, None)
        for session in device.sessions if device else ():
            self._addresses.pop(session.dev_addr, None)

    def forget_address(self, dev_addr: int) -> None:
        """A session with this address was added to the store."""
        self._addresses.pop(dev_addr, None)

    def clear(self) -> None:
        self._devices.clear()
        self._addresses.clear()

    def _trim(self) -> None:
        """Let go of the least recently used while there are too many."""
        while len(self._devices) > self._limit:
            oldest = next(iter(self._devices))
            if oldest in self._busy:
                break
            self.forget(oldest)
        if len(self._addresses) > 4 * self._limit:
            self._addresses.clear()


def _slot(row: store.DeviceRow) -> Slot | None:
    return None if row.slot is None else Slot(**msgspec.json.decode(row.slot, type=dict[str, int]))


def seal_keys(credential: Credential, keys: SessionKeys, dev_eui: str, dev_addr: int, epoch: int) -> bytes:
    return credential.seal(keys.to_bytes(), _PURPOSE, _context(dev_eui, dev_addr, epoch))


def open_keys(credential: Credential, row: store.SessionRow) -> SessionKeys:
    sealed = credential.open(row.keys, _PURPOSE, _context(row.dev_eui, row.dev_addr, row.epoch))
    return SessionKeys.from_bytes(sealed)


def _context(dev_eui: str, dev_addr: int, epoch: int) -> bytes:
    return bytes.fromhex(dev_eui) + dev_addr.to_bytes(4, "big") + epoch.to_bytes(4, "big")
