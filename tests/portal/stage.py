"""The stage of the portal's tests: an organisation with a concentrator and adapters that can seal telegrams."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db.models import Model

from meterwire import messages
from meterwire.ids import DevEUI
from meterwire.messages import Rx, Telegram
from meterwire.seal import InnerKey, ValuesSealer
from meterwire.values_telegram import Mode, Value
from portal.telemetry.arrivals import Arrival, Batch, Source
from portal.telemetry.directory import Directory
from portal.telemetry.pipeline import Pipeline
from portal.telemetry.store import open_store
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.fleet.models import Adapter, Concentrator, MeteringPoint, Site
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.vault import Vault
from provisioning.pairing.models import Pairing

NOON = 1_767_265_200.0  # 2026-01-01 11:00 UTC
GATEWAY = "70b3d57ed0000f01"
_numbers = itertools.count(1)


@dataclass
class Device:
    """An adapter as it is in the cellar: its row in the portal and the key with which it seals."""

    row: Adapter
    sealer: ValuesSealer
    counter: int = 1000
    fcnt: int = 0

    def telegram(self, *values: tuple[int, int], **changes: Any) -> Telegram:
        """The next telegram, sealed; `mode`, `seal_counter` and the fields of Telegram can be set."""
        counter = changes.pop("seal_counter", self.counter)
        mode = changes.pop("mode", Mode.VALUES)
        sealer = changes.pop("sealer", self.sealer)
        pairs = [Value(*pair) for pair in values or ((1, 56_841_020), (2, 3_197_930))]
        self.counter, self.fcnt = max(self.counter, counter) + 1, self.fcnt + 1
        content = {"payload": sealer.seal(counter, pairs, mode), "counter": counter, "fcnt": self.fcnt, **changes}
        return telegram(self.row.dev_eui, **content)


def telegram(dev_eui: str, **changes: Any) -> Telegram:
    """An uplink with everything that a test does not care about filled in."""
    number = next(_numbers)
    fields: dict[str, Any] = {
        "id": messages.ulid(NOON, number.to_bytes(10, "big")),
        "dev_eui": dev_eui,
        "fport": 16,
        "fcnt": number,
        "payload": b"\0",
        "rx": (Rx(gw=GATEWAY, rssi=-97.0, snr=7.5),),
        "dr": 5,
        "freq": 868_100_000,
        "received_at": messages.timestamp(NOON),
        "time_quality": "ntp",
    }
    return Telegram(**{**fields, **changes})


@dataclass
class Stage:
    """One organisation, one concentrator, and the pipeline that serves them."""

    name: str = "acme"
    vault: Vault = field(default_factory=Vault.from_settings)
    organisation: Organisation = None  # type: ignore[assignment]  # a new one, called `name`

    def __post_init__(self) -> None:
        if self.organisation is None:
            self.organisation = Organisation.objects.create(name=self.name, slug=self.name)
        self.site = Site.objects.create(organisation=self.organisation, name="Main street 1")
        self.concentrator = Concentrator.objects.create(
            organisation=self.organisation, site=self.site, eui=f"70b3d57ee00c{next(_numbers):04x}", name="Cellar"
        )
        self.source = Source(self.concentrator.pk, self.organisation.pk, self.concentrator.eui)
        self.pipeline = self.pipeline_for()

    def pipeline_for(self) -> Pipeline:
        """One more pipeline, with caches of its own, as in a second bridge."""
        return Pipeline(Directory(self.vault), open_store())

    def device(self, *, slot: int = 1, keyed: bool = True, **fields: Any) -> Device:
        """A registered adapter; `keyed`: the portal holds the key of its slot."""
        adapter = Adapter.objects.create(
            organisation=self.organisation, site=self.site, concentrator=self.concentrator, join_eui="70b3d57ed0000000",
            dev_eui=f"70b3d57ee1{next(_numbers):06x}", **fields,
        )  # fmt: skip
        key = InnerKey(next(_numbers).to_bytes(16, "big"))
        if keyed:
            self.hold(adapter, key, slot=slot)
        return Device(adapter, ValuesSealer(key, slot, DevEUI.parse(adapter.dev_eui)))

    def hold(self, adapter: Adapter, key: InnerKey, *, slot: int | None = 1, **fields: Any) -> DeviceKey:
        """Put a key into the vault."""
        row = DeviceKey(
            organisation=self.organisation, adapter=adapter, slot=slot, check_value=key.check_value().hex(),
            tag_length=key.tag_length, **{"state": KeyState.ACTIVE, "purpose": Purpose.INNER, **fields},
        )  # fmt: skip
        row.sealed = self.vault.seal(row, key)
        row.save()
        return row

    def audit(self, row: Model) -> None:
        """Record that `row` was changed, as its service would."""
        with audited(self.organisation):
            record(self.organisation, System("stage"), "row.changed", row)

    def metering_point(self, name: str = "Flat 1") -> MeteringPoint:
        return MeteringPoint.objects.create(organisation=self.organisation, site=self.site, name=name)

    def pair(self, adapter: Adapter, point: MeteringPoint, input: int = 0) -> Pairing:
        """For all times."""
        return Pairing.objects.create(
            organisation=self.organisation, adapter=adapter, metering_point=point, input=input,
            from_at=datetime(2000, 1, 1, tzinfo=UTC),
        )  # fmt: skip

    def run(self, *telegrams: Telegram, now: float = NOON + 1, source: Source | None = None) -> list[Arrival]:
        """Send telegrams through the pipeline in one batch."""
        batch = Batch([Arrival(item, source or self.source) for item in telegrams], round(now * 1e6))
        self.pipeline.directory.refresh()
        self.pipeline.run(batch)
        return batch.arrivals
