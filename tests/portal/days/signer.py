"""An adapter that signs its days: the real daybook, its telegrams through the real pipeline, its frames to the port."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from adapter_agent.dates import Dates
from adapter_agent.daybook import Daybook, DayFolder, SigningKeyFile, Uplink
from adapter_agent.daybook.memory import Memory
from meterwire import messages
from meterwire.curves import Curve
from meterwire.ids import DevEUI
from meterwire.messages import DownlinkCommand, Telegram
from meterwire.seal import InnerKey, Key16
from meterwire.signed_day import day_number
from meterwire.values_telegram import Mode
from portal.bridge.days import Days, look_again
from portal.bridge.key_port import KeyPort, deliver
from portal.days.models import SignedDay
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from tests.adapter_agent.radio.network import Memory as File
from tests.portal.stage import NOON, Device, Stage

DAY_S = 86_400.0
TRANSPORT = Key16(bytes(range(48, 64)))


class Watch:
    """A clock that only moves when told, for code that never sleeps."""

    def __init__(self, start: float) -> None:
        self._start, self._passed = start, 0.0

    def time(self) -> float:
        return self._start + self._passed

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")

    def step(self, seconds: float) -> None:
        self._passed += max(0.0, seconds)


@dataclass
class Signer:
    """What it keeps over a restart is in `folder` and the files."""

    stage: Stage
    folder: Path
    device: Device
    curve: Curve = Curve.P256
    transport: Key16 = field(default_factory=lambda: TRANSPORT)
    entropy: int = 7
    mode: Mode = Mode.VALUES
    clock: Watch = field(default_factory=lambda: Watch(NOON - 11 * 3600))
    date: File = field(default_factory=File)
    memory: File = field(default_factory=File)
    signing: File = field(default_factory=File)

    def __post_init__(self) -> None:
        self.restart()

    @property
    def dev_eui(self) -> DevEUI:
        return DevEUI.parse(self.device.row.dev_eui)

    @property
    def day(self) -> int:
        return day_number(self.clock.time())

    def restart(self, skip: int = 0) -> None:
        self.device.counter += skip
        memory = Memory(self.memory, self.dev_eui)
        file = SigningKeyFile(self.signing, lambda count: bytes([self.entropy]) * count)
        self.book = Daybook(
            self.dev_eui,
            DayFolder(self.folder, self.dev_eui),
            memory,
            file.load(self.curve, memory.now.seq),
            transport=lambda: self.transport,
            dates=Dates(self.clock, self.date, trusted=True),
            clock=self.clock,
        )

    def telegram(self, value: int = 1000) -> Telegram:
        """The next telegram, noted in the daybook as the sender does."""
        made = self.device.telegram((1, value), mode=self.mode, received_at=messages.timestamp(self.clock.time()))
        assert made.counter is not None
        self.book.note(made.counter, 16, made.payload)
        return made

    def live_a_day(self, period_s: float = 1800.0, restart_after: int | None = None) -> list[Telegram]:
        """A telegram every `period_s` until midnight; power fails once after so many of them."""
        made, left = [], DAY_S - self.clock.time() % DAY_S
        for number in range(int(left / period_s)):
            if number == restart_after:
                self.restart(skip=29)
            made.append(self.telegram(1000 + number))
            self.clock.step(period_s)
        return made

    def uplinks(self, most: int = 200) -> list[Uplink]:
        """What the daybook sends now, each acknowledged, as fast as it may."""
        found: list[Uplink] = []
        while len(found) < most and (due := self.book.due()) is not None:
            wait = due - self.clock.monotonic()
            if wait > DAY_S / 3:
                break
            self.clock.step(wait)
            uplink = self.book.take()
            if uplink is not None:
                found.append(uplink)
                self.book.done(uplink, True, 0.1)
            elif self.book.due() == due:
                break
        return found

    def carried(self, uplink: Uplink) -> Telegram:
        """An uplink as the concentrator hands it on."""
        self.device.fcnt += 1
        return Telegram(
            id=messages.ulid(self.clock.time(), (self.device.fcnt + self.device.row.pk * 100_000).to_bytes(10)),
            dev_eui=self.device.row.dev_eui,
            fport=uplink.port,
            fcnt=self.device.fcnt,
            payload=uplink.payload,
            rx=(messages.Rx(gw="70b3d57ed0000f01", rssi=-97.0, snr=7.5),),
            dr=5,
            freq=868_100_000,
            received_at=messages.timestamp(self.clock.time()),
            time_quality="ntp",
            counter=uplink.counter,
        )


class Portal:
    """The portal's end: ingest, port 34 and what it sends down."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.days = Days(stage.vault)
        self.port = KeyPort([self.days])
        self.asked: list[DownlinkCommand] = []

    def hear(self, signer: Signer, *telegrams: Telegram) -> None:
        """Telegrams arrive, and everything that follows at once is done."""
        if telegrams:
            arrivals = self.stage.run(*telegrams, now=signer.clock.time())
            deliver(arrivals)
            look_again(arrivals, datetime.fromtimestamp(signer.clock.time(), UTC))  # the very moment of the turn
        self.turn(signer)

    def hear_uplinks(self, signer: Signer, uplinks: Iterable[Uplink]) -> None:
        self.hear(signer, *(signer.carried(uplink) for uplink in uplinks))

    def turn(self, signer: Signer) -> list[DownlinkCommand]:
        found = [command for _, command in self.port.turn(signer.clock.time())]
        self.asked += found
        return found

    def converse(self, signer: Signer, rounds: int = 12, minutes: float = 30.0) -> None:
        """Requests go down, answers come up, until nobody has anything to say."""
        for _ in range(rounds):
            for command in self.turn(signer):
                signer.book.request(command.payload)
            uplinks = signer.uplinks()
            self.hear_uplinks(signer, uplinks)
            signer.clock.step(minutes * 60)

    def row(self, signer: Signer, day: int | None = None) -> SignedDay:
        rows = SignedDay.objects.filter(adapter=signer.device.row).order_by("day")
        return rows.get() if day is None else rows.get(day=datetime.fromtimestamp(day * DAY_S, UTC).date())


def hold_transport(stage: Stage, device: Device, key: Key16 = TRANSPORT, **fields: object) -> DeviceKey:
    """The portal's copy of the key-transport key."""
    row = DeviceKey(
        organisation=stage.organisation, adapter=device.row, purpose=Purpose.TRANSPORT, partner="portal",
        check_value=key.check_value().hex(), **{"state": KeyState.ACTIVE, **fields},
    )  # fmt: skip
    row.sealed = stage.vault.seal(row, InnerKey(key.reveal()))
    row.save()
    return row
