"""A pairing on its way: its adapter joins, reports, proves and reads, as the bridge sees it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from meterwire import config_records, identity
from meterwire.config_records import CounterReport, FirmwareReport, ReadIdentity, Record
from meterwire.ids import DevEUI, MeterId
from meterwire.messages import Event, Telegram, timestamp
from meterwire.registers import register_number
from portal.bridge.ingest import Ingest, Outcome
from portal.bridge.mail import Mail
from portal.bridge.steps import News, Steps
from provisioning.fleet.models import Meter
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.pairing.models import Configuration, Pairing
from provisioning.pairing.services import refresh_configuration
from tests.portal.bridge.peer import new_id, state
from tests.portal.stage import GATEWAY, NOON, Device, Stage, telegram

BEGAN = datetime.fromtimestamp(NOON, UTC)


def number(n: int) -> MeterId:
    return MeterId("1", "EMH", 0, n)


@dataclass
class Installed:
    """One adapter input paired with one meter at NOON; `second` counts on from there."""

    stage: Stage
    device: Device = None  # type: ignore[assignment]  # a new one
    input: int = 0
    meter_id: MeterId = field(default_factory=lambda: number(1))
    second: float = 1.0

    def __post_init__(self) -> None:
        if self.device is None:
            self.device = self.stage.device()
            DeviceKey.objects.create(
                organisation=self.stage.organisation, adapter=self.device.row, purpose=Purpose.ROOT,
                state=KeyState.ACTIVE, sealed=b"x", check_value="000000",
            )  # fmt: skip
        concentrator = self.stage.concentrator
        if not concentrator.key_approved:
            concentrator.public_key, concentrator.key_approved_at = "00" * 32, timezone.now()
            concentrator.online = True
            concentrator.save()
        self.point = self.stage.metering_point(f"{self.device.row.dev_eui} {self.input}")
        self.meter = Meter.objects.create(
            organisation=self.stage.organisation, metering_point=self.point, meter_id=str(self.meter_id),
            installed_at=BEGAN,
        )  # fmt: skip
        self.pairing = Pairing.objects.create(
            organisation=self.stage.organisation, adapter=self.device.row, input=self.input, metering_point=self.point,
            meter=self.meter, from_at=BEGAN,
        )  # fmt: skip
        refresh_configuration(self.device.row)
        self.ingest = Ingest(self.stage.pipeline)
        self.steps = Steps(lambda: NOON + self.second)

    def later(self, seconds: float = 1.0) -> float:
        """Let time pass; the new time in Unix seconds."""
        self.second += seconds
        return NOON + self.second

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(NOON + self.second, UTC)

    @property
    def configuration(self) -> Configuration:
        return Configuration.objects.get(adapter=self.device.row)

    def send(self, *telegrams: Telegram) -> Outcome:
        return self._take(Mail(self.stage.concentrator.eui, telegrams=telegrams))

    def report(self, *records: Record, version: int | None = None, **changes: Any) -> Outcome:
        """Port 33; `version` None: what is wanted runs."""
        if version is None:
            version = self.configuration.version
        at = {"received_at": timestamp(self.later()), **changes}
        payloads = config_records.encode(version, [CounterReport(5), FirmwareReport("1.0"), *records])
        return self.send(*(telegram(self.device.row.dev_eui, fport=33, payload=p, **at) for p in payloads))

    def name(self, octets: bytes, kind: int = 1) -> Outcome:
        """Report what the meter calls itself."""
        return self.report(ReadIdentity(self.input, kind if octets else 0, octets))

    def prove(self, octets: bytes, **changes: Any) -> Outcome:
        """A values telegram that carries the sealed hash of this name."""
        dev_eui = DevEUI.parse(self.device.row.dev_eui)
        proof = (register_number(identity.REGISTER, self.input), identity.identity_hash(dev_eui, self.input, octets))
        return self.read(proof, **changes)

    def read(self, *more: tuple[int, int], **changes: Any) -> Outcome:
        at = {"received_at": timestamp(self.later()), **changes}
        return self.send(self.device.telegram((register_number(1, self.input), 12_345_678), *more, **at))

    def join(self, **detail: Any) -> Outcome:
        seen = {"gw": GATEWAY, "rssi": -97.0, "snr": 7.5, "epoch": 1, "dev_addr": "00000001", **detail}
        event = Event(new_id(), timestamp(self.later()), "joined", dev_eui=self.device.row.dev_eui, detail=seen)
        return self._take(Mail(self.stage.concentrator.eui, event=event))

    def run(self, revision: int, **fields: Any) -> Outcome:
        """The concentrator reports the device table that it runs."""
        self.later()
        return self._take(Mail(self.stage.concentrator.eui, state=state(revision=revision, **fields)))

    def advance(self, outcome: Outcome | None = None) -> list[tuple[str, int | None]]:
        """One turn of the bridge's steps; what open pages hear, as (kind, adapter)."""
        news = News()
        if outcome is not None:
            news.add(outcome)
        changes = self.steps.advance(news)
        self.pairing.refresh_from_db()
        return [(kind, adapter) for found in changes._found.values() for kind, adapter, _ in found]

    def reached(self) -> list[str]:
        return list(self.pairing.steps.order_by("at", "pk").values_list("step", flat=True))

    def detail(self, step: str) -> dict[str, Any]:
        found: dict[str, Any] = self.pairing.steps.get(step=step).detail
        return found

    def _take(self, mail: Mail) -> Outcome:
        return self.ingest.run([mail], round((NOON + self.second) * 1e6))
