"""This concentrator as the partner of adapters [0087]: takes the portal's orders, speaks port 34, reports how it ends.

Every step is in the key file before it is acted on; what is lost on the air is sent again, the same bytes, until the
agreement is over or too old. The outcome is in the outbox before it counts as told.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from concentrator_agent import store
from concentrator_agent.audit import Audit, Note
from concentrator_agent.events import Events
from concentrator_agent.keys.exchange import OK, TIMEOUT, WAITING, Exchange, Stage
from concentrator_agent.keys.held import NOTHING, DeviceKeys
from concentrator_agent.keys.ring import KeyRing
from concentrator_agent.keys.stored import PURPOSE
from concentrator_agent.server.join import open_transport_key
from concentrator_agent.server.queue import DownlinkQueue
from edge.clock import Clock
from edge.database import Database
from edge.outbox import Outbox
from edge.sealedfile import Credential
from edge.ulids import Ulids
from meterwire import messages
from meterwire.curves import ENTROPY_BYTES, Curve, PrivateKey
from meterwire.errors import AuthenticationError, FormatError
from meterwire.ids import DevEUI
from meterwire.key_messages import PORT, Place, Up, decode, mac_keys, verify
from meterwire.keymemory import KeyEntry, Standing
from meterwire.messages import RekeyCommand, Result
from meterwire.seal import Key16

log = logging.getLogger(__name__)

AGAIN_S: Final = 900.0  # doubled with each repetition
MAX_DOUBLINGS: Final = 6
MAX_AGE_S: Final = 2 * 86_400.0  # an offer or a confirmation without an answer is given up then
MAX_PROOFS: Final = 8
GRACE_S: Final = 72 * 3600.0  # so long a replaced key opens late telegrams
PRIORITY: Final = 7


class KeyPartner:
    """`entropy` gives so many random octets; `dated` whether the clock may be believed."""

    def __init__(
        self,
        *,
        eui: str,
        ring: KeyRing,
        credential: Credential,
        database: Database,
        queue: DownlinkQueue,
        outbox: Outbox,
        events: Events,
        audit: Audit,
        clock: Clock,
        ulids: Ulids,
        entropy: Callable[[int], bytes],
        dated: Callable[[], bool],
    ) -> None:
        self._eui = eui
        self._ring = ring
        self._credential = credential
        self._database = database
        self._queue = queue
        self._outbox = outbox
        self._events = events
        self._audit = audit
        self._clock = clock
        self._ulids = ulids
        self._entropy = entropy
        self._dated = dated
        self._lock = asyncio.Lock()

    async def order(self, command: RekeyCommand) -> Result:
        """Begin an agreement; the same order again is taken again. Raises StorageError or SealedFileError."""
        async with self._lock:
            result = self._take(command)
            note = Note("key.order", result.code or OK, command.dev_eui, None, command.id, f"sequence {command.seq}")
            await self._database.run(lambda connection: self._audit.note(connection, [note]))
            if result.code is None:
                await self._advance(command.dev_eui)
            return result

    async def hear(self, heard: Iterable[tuple[str, bytes]]) -> None:
        """(DevEUI, payload) of telegrams on port 34; those that are not for us are left alone. Raises as `order`."""
        for dev_eui, payload in heard:
            async with self._lock:
                message = self._authentic(dev_eui, payload)
                if message is not None:
                    self._answered(dev_eui, message)
                    await self._advance(dev_eui)

    async def used(self, heard: Iterable[tuple[str, int]]) -> None:
        """(DevEUI, slot) of keys under which telegrams were opened for the first time. Raises as `order`."""
        for dev_eui, slot in heard:
            async with self._lock:
                held, now = self._ring.of(dev_eui), self._clock.time()
                entry, exchange = held.held(slot), held.exchange
                if entry is None or entry.standing in (Standing.PROVEN, Standing.FORMER):
                    continue
                held = held.proven(slot, now)
                if exchange is not None and (exchange.place.slot, exchange.check) == (slot, entry.key.check_value()):
                    held = replace(held, exchange=exchange.heard(now))
                self._ring.change(dev_eui, held)
                await self._advance(dev_eui)

    async def turn(self) -> None:
        """Repeat what is due, give up what is too old, forget keys that retired long ago. Raises as `order`."""
        async with self._lock:
            self._clean()
            for dev_eui, _ in self._ring:
                await self._advance(dev_eui)

    def _take(self, command: RekeyCommand) -> Result:
        device = store.device(self._database.read, command.dev_eui)
        if device is None:
            return Result(command.id, "unknown_device", f"{command.dev_eui.upper()} is not in the device table")
        transport = self._transport(command.dev_eui)
        if transport is None:
            sentence = f"no key-transport key is shared with {command.dev_eui.upper()}: send one with the device table"
            return Result(command.id, "no_transport_key", sentence)
        if command.not_before is not None and command.not_after is not None and command.not_before >= command.not_after:
            return Result(command.id, "format", "the key would never be valid: it ends before it begins")
        held, shared = self._ring.of(command.dev_eui), transport.check_value()
        before = held.exchange
        if before is not None and before.shared == shared:
            if command.seq < before.seq:
                return Result(command.id, "old_sequence", f"number {before.seq} was used already")
            if command.seq == before.seq:
                if before.reason != TIMEOUT:
                    told = before.told and not before.reason
                    self._ring.change(command.dev_eui, replace(held, exchange=replace(before, told=told)))
                    return Result(command.id)
                if before.check:  # the adapter may have the key: its confirmation is sent again
                    again = replace(before.moved(Stage.AGREED, self._clock.time()), reason="", told=True)
                    again = replace(again, begun_at=self._clock.time())
                    self._ring.change(command.dev_eui, replace(held, exchange=again))
                    return Result(command.id)
        if before is not None and before.stage is Stage.AGREED:
            held = _dropped(held, before)
        now = self._clock.time()
        exchange = Exchange(
            command.seq,
            Place.of(command.place),
            command.not_before,
            command.not_after,
            shared,
            begun_at=now,
            due_at=now,
            private=PrivateKey.generate(Curve(command.curve), self._entropy(ENTROPY_BYTES)),
        )
        self._ring.change(command.dev_eui, replace(held, exchange=exchange))
        return Result(command.id)

    def _answered(self, dev_eui: str, message: Up) -> None:
        held, now = self._ring.of(dev_eui), self._clock.time()
        before = held.exchange
        if before is None:
            return
        exchange, key = before.answered(message, DevEUI.parse(dev_eui), now)
        if exchange is before:
            return
        if key is not None:
            bounds = exchange.not_before, exchange.not_after
            held = held.with_entry(KeyEntry(exchange.place.slot, key, PURPOSE, self._eui, *bounds, Standing.TRIAL))
        elif exchange.stage is Stage.OVER and exchange.reason != OK:
            held = _dropped(held, before)
        log.info("key agreement", extra={"dev_eui": dev_eui, "seq": exchange.seq, "stage": str(exchange.stage)})
        self._ring.change(dev_eui, replace(held, exchange=exchange))

    async def _advance(self, dev_eui: str) -> None:
        """Tell the outcome if there is one, and send what is due."""
        await self._tell(dev_eui)
        held, now = self._ring.of(dev_eui), self._clock.time()
        exchange = held.exchange
        # A clock that was ahead must not hold anything up.
        if exchange is None or exchange.stage not in WAITING or now < exchange.due_at <= now + MAX_AGE_S:
            return
        if exchange.stage is not Stage.PROVING and not 0 <= now - exchange.begun_at < MAX_AGE_S:
            self._ring.change(dev_eui, replace(held, exchange=exchange.ended(TIMEOUT)))
            await self._tell(dev_eui)
            return
        if exchange.stage is Stage.PROVING and exchange.attempts >= MAX_PROOFS:
            self._ring.change(dev_eui, replace(held, exchange=replace(exchange, stage=Stage.OVER)))
            return
        wait = AGAIN_S * 2 ** min(exchange.attempts, MAX_DOUBLINGS)
        again = replace(exchange, attempts=exchange.attempts + 1, due_at=now + wait)
        self._ring.change(dev_eui, replace(held, exchange=again))
        await self._send(dev_eui, exchange, now + wait)

    async def _send(self, dev_eui: str, exchange: Exchange, until: float) -> None:
        request, transport = exchange.request(), self._transport(dev_eui)
        if request is None or transport is None:
            return
        command = messages.DownlinkCommand(
            id=self._ulids(),
            time=messages.timestamp(self._clock.time()),
            dev_eui=dev_eui,
            fport=PORT,
            payload=request.encode(mac_keys(transport).down, DevEUI.parse(dev_eui)),
            expires_at=messages.timestamp(until),
            confirmed=True,
            priority=PRIORITY,
        )
        result = await self._queue.take(command, known=True)
        if result.code is not None:
            log.warning("a key message could not be queued; it will be tried again", extra={"code": result.code})

    async def _tell(self, dev_eui: str) -> None:
        held = self._ring.of(dev_eui)
        exchange = held.exchange
        if exchange is None or exchange.told:
            return
        check = exchange.check.hex() if exchange.reason == OK else None
        event = self._events.make(
            "rekeyed", dev_eui, exchange.reason, seq=exchange.seq, place=exchange.place.octet, check=check
        )
        note = Note("key.agree", exchange.reason, dev_eui, None, None, f"sequence {exchange.seq}")

        def job(connection: sqlite3.Connection) -> None:
            self._outbox.insert(connection, [event])
            self._audit.note(connection, [note])

        await self._database.run(job)
        self._outbox.wake()
        self._ring.change(dev_eui, replace(held, exchange=replace(exchange, told=True)))

    def _clean(self) -> None:
        changed = {}
        for dev_eui, held in self._ring:
            if store.device(self._database.read, dev_eui) is None:
                changed[dev_eui] = NOTHING
            elif self._dated() and (over := _over(held, self._clock.time())):
                changed[dev_eui] = held.without(*over)
        if changed:
            self._ring.change_all(changed)

    def _authentic(self, dev_eui: str, payload: bytes) -> Up | None:
        """None for a message under another transport key, such as the portal's, and for one that is unreadable."""
        transport = self._transport(dev_eui)
        if transport is None or self._ring.of(dev_eui).exchange is None:
            return None
        try:
            verify(payload, mac_keys(transport).up, DevEUI.parse(dev_eui))
            message = decode(payload, up=True)
        except (AuthenticationError, FormatError):
            return None
        assert isinstance(message, Up)
        return message

    def _transport(self, dev_eui: str) -> Key16 | None:
        device = store.device(self._database.read, dev_eui)
        if device is None or device.transport_key is None:
            return None
        return Key16(open_transport_key(self._credential, dev_eui, device.transport_key))


def _dropped(held: DeviceKeys, exchange: Exchange) -> DeviceKeys:
    """Without the key of an agreement that came to nothing."""
    entry = held.held(exchange.place.slot)
    if entry is None or not exchange.check or entry.key.check_value() != exchange.check:
        return held
    return held.without(entry.slot)


def _over(held: DeviceKeys, now: float) -> list[int]:
    """Slots whose key has retired, or was valid, longer ago than late telegrams are waited for."""
    return [
        entry.slot
        for entry in held.entries
        if now - held.retired.get(entry.slot, now) >= GRACE_S
        or (entry.not_after is not None and now - entry.not_after >= GRACE_S)
    ]
