"""A network server on the bench: real store and logic, a clock that stands still, a radio that only takes notes.

`Lab` is the concentrator without sockets, `Mote` a device made of the same codec the adapters use.
"""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from concentrator_agent import store
from concentrator_agent.audit import Audit
from concentrator_agent.config import BeaconSettings, RegionSettings
from concentrator_agent.devices import Applied, DeviceTable
from concentrator_agent.distribution import Distribution
from concentrator_agent.events import Events
from concentrator_agent.keys.partner import KeyPartner
from concentrator_agent.keys.ring import KeyRing
from concentrator_agent.opening import Opening
from concentrator_agent.radio.base import Reception, Transmission, TransmissionRefused
from concentrator_agent.rootkeys import Outcome, Task
from concentrator_agent.server.dedupe import Dedupe
from concentrator_agent.server.downlink import Downlink
from concentrator_agent.server.heard import Heard
from concentrator_agent.server.join import JoinServer
from concentrator_agent.server.queue import DownlinkQueue
from concentrator_agent.server.sessions import Sessions
from concentrator_agent.server.timekeeping import Timekeeper
from concentrator_agent.server.uplink import UplinkServer
from concentrator_agent.slotting import Slotting
from concentrator_agent.unwrap import Unwrapper
from edge.clock import ManualClock
from edge.database import Database
from edge.outbox import Limits, Outbox
from edge.sealedfile import Credential, SealedFile
from edge.timesync import HostClock
from edge.ulids import Ulids
from meterwire import messages, transport_key
from meterwire.ids import DevEUI, GatewayEUI, JoinEUI
from meterwire.lorawan.crypto import RootKey, Session, SessionKeys
from meterwire.lorawan.frame import DataFrame, JoinAccept
from meterwire.lorawan.mac_commands import MacCommand, encode_commands, parse_commands
from meterwire.lorawan.region import EU868
from meterwire.time_entries import PlanEntry

CONCENTRATOR = GatewayEUI.parse("0011223344556677")
JOIN_EUI = "70b3d57ed0000001"
PRIVATE_KEY = bytes(range(32))
GATEWAY_A, GATEWAY_B = "aa00000000000001", "aa00000000000002"
SF7 = 5


def wrapped(key: bytes, dev_eui: str, purpose: str = "root", seed: int = 1) -> messages.WrappedKey:
    return transport_key.wrap(
        transport_key.public_key(PRIVATE_KEY),
        key,
        concentrator=CONCENTRATOR,
        dev_eui=DevEUI.parse(dev_eui),
        purpose=purpose,
        ephemeral_private=bytes([seed]) * 32,
    )


class KeysHere:
    """Unwraps in this process, which is quicker for a test."""

    def __init__(self, unwrapper: Unwrapper) -> None:
        self._unwrapper = unwrapper

    async def stage(self, tasks: Sequence[Task]) -> list[Outcome]:
        return self._unwrapper.stage(tasks)

    async def public_key(self) -> bytes:
        return self._unwrapper.public_key


class FakeRadio:
    """Remembers what was sent; `refusals` are answered to the next transmissions instead of taking them."""

    def __init__(self) -> None:
        self.sent: list[Transmission] = []
        self.refusals: list[str | None] = []

    async def send(self, transmission: Transmission) -> None:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            raise TransmissionRefused(refusal)
        self.sent.append(transmission)

    def gateways_online(self) -> int:
        return 1


class Mote:
    """A class A device: it joins, sends and reads what comes back."""

    def __init__(self, number: int = 1, lorawan: str = "1.0.4") -> None:
        self.dev_eui = f"70b3d57ed006{number:04x}"
        self.key = number.to_bytes(2, "big") * 8
        self.lorawan = lorawan
        self.root = RootKey(self.key)
        self.dev_nonce = 0
        self.fcnt = 0
        self.session: Session | None = None
        self.accept: JoinAccept | None = None

    def entry(self, **changes: Any) -> messages.DeviceEntry:
        entry = messages.DeviceEntry(
            self.dev_eui,
            JOIN_EUI,
            wrapped(self.key, self.dev_eui),
            lorawan=self.lorawan,  # type: ignore[arg-type]
        )
        return msgspec.structs.replace(entry, **changes)

    def join_request(self, dev_nonce: int | None = None, join_eui: str = JOIN_EUI) -> bytes:
        if dev_nonce is not None:
            self.dev_nonce = dev_nonce
        return self.root.sign_join_request(JoinEUI.parse(join_eui), DevEUI.parse(self.dev_eui), self.dev_nonce)

    def take_accept(self, phy: bytes) -> JoinAccept:
        self.accept = self.root.decrypt_join_accept(phy)
        keys = self.root.derive(self.accept.join_nonce, self.accept.net_id, self.dev_nonce)
        self.session = Session(keys, self.accept.dev_addr)
        self.fcnt = 0
        return self.accept

    def personalise(self, dev_addr: int, nwk: bytes = b"n" * 16, app: bytes = b"a" * 16) -> messages.DeviceEntry:
        """Activation by personalisation: the entry for the table."""
        self.session = Session(SessionKeys(nwk, app), dev_addr)
        abp = messages.Abp(f"{dev_addr:08x}", wrapped(nwk, self.dev_eui, "nwk"), wrapped(app, self.dev_eui, "app"))
        return self.entry(root_key=None, abp=abp)

    def frame(
        self,
        payload: bytes = b"hello",
        fport: int | None = 16,
        commands: Sequence[MacCommand] = (),
        fcnt: int | None = None,
        **flags: Any,
    ) -> bytes:
        assert self.session is not None
        if fcnt is not None:
            self.fcnt = fcnt
        phy = self.session.build(
            uplink=True,
            fcnt32=self.fcnt,
            fport=fport,
            payload=payload if fport is not None else b"",
            fopts=flags.pop("fopts", None) or encode_commands(commands),
            **flags,
        )
        self.fcnt += 1
        return phy

    def read(self, phy: bytes, fcnt: int) -> DataFrame:
        assert self.session is not None
        return self.session.open(phy, fcnt, uplink=False)

    def commands(self, phy: bytes, fcnt: int) -> list[MacCommand]:
        return parse_commands(self.read(phy, fcnt).fopts, uplink=False)[0]


class Lab:
    """Everything of the concentrator between radio and outbox."""

    def __init__(self, folder: Path, clock: ManualClock, region: RegionSettings, **options: Any) -> None:
        self.clock = clock
        self.region = region
        self.credential = Credential(b"c" * 32)
        self.database = Database(folder / "concentrator.db", store.MIGRATIONS, options.get("max_bytes"))
        self.database.open()
        ulids = Ulids(clock)
        self.outbox = Outbox(self.database, Limits(), clock)
        self.events = Events(clock, ulids)
        self.heard = Heard(self.events, clock)
        self.audit = Audit(self.credential, clock, options.get("audit_bound", 20_000))
        self.sessions = Sessions(self.database.read, self.credential, options.get("cached", 256))
        keys = KeysHere(Unwrapper(self.credential, CONCENTRATOR, PRIVATE_KEY, EU868))
        self.keeper = Timekeeper(
            clock, options.get("quality", "ntp"), lambda: HostClock(True), epoch=options.get("epoch", 0)
        )
        self.slots = Slotting(
            options.get("beacon", BeaconSettings()), region=EU868, database=self.database, clock=clock,
            keeper=self.keeper, events=self.events,
        )  # fmt: skip
        self.table = DeviceTable(
            self.database, keys, self.audit, plan=self.slots.plan, on_change=self.slots.table_changed
        )
        self.queue = DownlinkQueue(self.database, self.outbox, self.events, clock, self.audit)
        self.joins = JoinServer(self.database.read, self.credential, region, random.Random(1))
        self.radio = FakeRadio()
        self.downlink = Downlink(
            plan=EU868,
            radio=self.radio,
            queue=self.queue,
            database=self.database,
            clock=clock,
            clearance=self.slots.clearance,
            desired=self.joins.desired,
            max_power_dbm=27,
            status_every_s=options.get("status_every_s", 0.0),
        )
        self.ring = KeyRing(SealedFile(folder / "adapter.keys", self.credential, "adapter keys"))
        self.target = Outbox(self.database, Limits(), clock, "target")
        self.partner = KeyPartner(
            eui=str(CONCENTRATOR), ring=self.ring, credential=self.credential, database=self.database,
            queue=self.queue, outbox=self.outbox, events=self.events, audit=self.audit, clock=clock, ulids=ulids,
            entropy=random.randbytes, dated=lambda: True,
        )  # fmt: skip
        self.uplink = UplinkServer(
            plan=EU868,
            sessions=self.sessions,
            joins=self.joins,
            distribution=Distribution(ulids, Opening(self.ring, self.database.read, 256)),
            downlink=self.downlink,
            queue=self.queue,
            database=self.database,
            outbox=self.outbox,
            events=self.events,
            heard=self.heard,
            target=self.target,
            partner=self.partner,
            keeper=self.keeper,
            tracking=self.slots.tracking,
        )
        self.dedupe = Dedupe(0.2)
        self._tmst = 1_000_000

    def close(self) -> None:
        self.database.close()

    async def hear(
        self,
        *frames: bytes,
        snr: float = 5.0,
        dr: int = SF7,
        freq: int = 868_100_000,
        gateways: Sequence[str] = (),
        quality: messages.TimeQuality = "ntp",
    ) -> list[Transmission]:
        """All frames in one batch, 200 ms after they were on the air; the transmissions that they led to."""
        before = len(self.radio.sent)
        for frame in frames:
            for number, gateway in enumerate(gateways or (GATEWAY_A,)):
                self._tmst += 1000
                reception = Reception(
                    frame, gateway, self._tmst, freq, dr, -80.0, snr - number, self.clock.time(), quality
                )
                self.dedupe.add(reception, self.clock.monotonic())
        await self.clock.advance(0.2)
        await self.uplink.process(self.dedupe.take(self.clock.monotonic(), 500))
        await self.downlink.drain()
        await self.clock.advance(1.0)
        return self.radio.sent[before:]

    async def join(self, mote: Mote, **how: Any) -> JoinAccept:
        """The mote joins with its next nonce."""
        mote.dev_nonce += 1
        (transmission,) = await self.hear(mote.join_request(), **how)
        return mote.take_accept(transmission.phy)

    async def devices(
        self,
        *entries: messages.DeviceEntry,
        base: int | None = None,
        remove: Sequence[str] = (),
        plan: PlanEntry | None = None,
    ) -> Applied:
        command = messages.DevicesCommand(
            id=messages.ulid(self.clock.time(), random.randbytes(10)),
            time=messages.timestamp(self.clock.time()),
            revision=self.table.revision + 1,
            base=base,
            upsert=entries,
            remove=tuple(remove),
            plan=plan,
        )
        applied = await self.table.take(command)
        self.sessions.clear()
        return applied

    def telegrams(self) -> list[messages.Telegram]:
        decoder = msgspec.json.Decoder(messages.Telegram)
        return [decoder.decode(one.body) for one in self.outbox.after(0, 10_000) if one.kind == "telegram"]

    def reported(self, kind: str | None = None) -> list[messages.Event]:
        events = [messages.decode_event(one.body) for one in self.outbox.after(0, 10_000) if one.kind == "event"]
        return [event for event in events if kind in (None, event.kind)]

    def downlink_command(self, mote: Mote, payload: bytes = b"\x01", fport: int = 33, **changes: Any) -> Any:
        command = messages.DownlinkCommand(
            id=messages.ulid(self.clock.time(), random.randbytes(10)),
            time=messages.timestamp(self.clock.time()),
            dev_eui=mote.dev_eui,
            fport=fport,
            payload=payload,
            expires_at=messages.timestamp(self.clock.time() + 3600),
        )
        return msgspec.structs.replace(command, **changes)


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
