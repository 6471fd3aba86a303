"""A small building with everything that a page can show, and its rows of telemetry."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from allauth.mfa.models import Authenticator
from asgiref.sync import async_to_sync
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone

from meterwire.messages import ulid
from portal.telemetry.models import AdapterEvent, AdapterStatus, Reading, Silence, Telegram
from provisioning.accounts.models import ApiToken, User
from provisioning.accounts.services import create_token
from provisioning.approvals.models import Approval
from provisioning.approvals.services import request
from provisioning.batches.models import Batch
from provisioning.batches.services import create_series
from provisioning.campaigns.models import Campaign, LmnHandover, Schedule
from provisioning.campaigns.services import plan, prepare_handover, schedule
from provisioning.fleet.models import Adapter, Concentrator, Site
from provisioning.fleet.services import archive_adapter
from provisioning.keys.models import DeviceKey, Purpose
from provisioning.keys.services import issue_key
from provisioning.pairing.models import Pairing, WrongClaim
from provisioning.pki.models import Certificate, Enrolment, ManufacturerAuthority
from provisioning.pki.services import issue_by_vault, trust_manufacturer
from tests.cast import STAGE, Cast
from tests.provisioning.pki import authority as pki
from tests.support.passkey import give_passkey

PERIOD = timedelta(minutes=15)
GATEWAY = "0016c001f1000001"


@dataclass
class World:
    """Names of the home organisation carry `mark`, so that a page of another one can be searched for it."""

    cast: Cast
    now: datetime = field(init=False)
    mark: str = "Kastanienhof"

    def __post_init__(self) -> None:
        self.site = self.cast.site(f"{self.mark} 7")
        self.concentrator = self.cast.concentrator(self.site)
        self.awake()
        self.adapter, self.pairing = self.paired_adapter()
        self.token: ApiToken = create_token(self.cast.owner, self.cast.organisation, f"{self.mark} script").token

    def awake(self) -> "World":
        """It is now, and the concentrator has just told how it is."""
        self.now = timezone.now()
        Concentrator.objects.filter(pk=self.concentrator.pk).update(
            name=f"{self.mark} attic",
            online=True,
            last_state_at=self.now,
            running_revision=1,
            clock_quality="ntp",
            gateways=[{"gw": GATEWAY, "online": True, "last_seen": self.now.isoformat()}],
        )
        self.concentrator.refresh_from_db()
        return self

    @cached_property
    def batch(self) -> Batch:
        """A series that waits for its import."""
        return create_series(
            STAGE,
            self.cast.organisation,
            first_dev_eui="70b3d57ed7000000",
            count=2,
            join_eui="70b3d57ed0000001",
            serial_prefix=self.mark,
        )

    @cached_property
    def approval(self) -> Approval:
        """What the operator asked for; it waits for a custodian."""
        subject = f"adapter {self.adapter.pk}"
        summary = f"Rotate the keys of {self.mark}"
        return request(self.cast.operator, self.cast.organisation, "key.rotate", subject, summary, f"{self.mark} moved")

    @cached_property
    def certificate(self) -> Certificate:
        """The concentrator's."""
        pki.authority()
        return issue_by_vault(pki.asked(self.concentrator, pki.request(self.concentrator.eui)))

    @cached_property
    def enrolment(self) -> Enrolment:
        """A request of the concentrator that waits for approval."""
        asked = pki.asked(self.concentrator, pki.request(self.concentrator.eui), needs_approval=True)
        assert asked.state == Enrolment.State.WAITING
        return asked

    @cached_property
    def manufacturer(self) -> ManufacturerAuthority:
        """One that is trusted."""
        return trust_manufacturer(STAGE, self.cast.organisation, name=f"{self.mark} maker", pem=pki.some_authority())

    @cached_property
    def key(self) -> DeviceKey:
        """The adapter's inner key."""
        return self.cast.inner_key(self.adapter)

    @cached_property
    def campaign(self) -> Campaign:
        """One over the site that could take place nowhere: its only delivery failed."""
        DeviceKey.objects.filter(adapter=self.adapter, purpose=Purpose.TRANSPORT).update(state="retiring")
        return plan(self.cast.custodian, self.cast.organisation, scope=self.site, reason=f"{self.mark} yearly")

    @cached_property
    def schedule(self) -> Schedule:
        """Every year, from tomorrow on."""
        first = self.now + timedelta(days=1)
        return schedule(self.cast.custodian, self.cast.organisation, period_days=365, first_at=first, scope=self.site)

    @cached_property
    def handover(self) -> LmnHandover:
        """Of one LMN key that nobody uses yet."""
        key = issue_key(STAGE, self.adapter, Purpose.LMN)
        name, public = f"{self.mark} gateway", recipient_key()
        return prepare_handover(
            self.cast.custodian, self.cast.organisation, [key], name=name, public_key=public, reason=self.mark
        )

    @cached_property
    def factor(self) -> Authenticator:
        """The operator's passkey; the session has not shown it."""
        give_passkey(self.cast.operator, f"{self.mark} laptop")
        return Authenticator.objects.get(user=self.cast.operator)

    @cached_property
    def blocked(self) -> User:
        """The installer, who tried five wrong labels."""
        for _ in range(5):
            WrongClaim.objects.create(
                organisation=self.cast.organisation, user=self.cast.installer, dev_eui=self.adapter.dev_eui
            )
        return self.cast.installer

    @cached_property
    def archived(self) -> Adapter:
        """An adapter that was put away."""
        adapter = self.cast.adapter(self.site, self.concentrator)
        archive_adapter(STAGE, adapter)
        return adapter

    def paired_adapter(self, site: Site | None = None) -> tuple[Adapter, Pairing]:
        """An adapter with keys that reads a meter; it was not heard yet."""
        adapter = self.cast.keyed_adapter(site or self.site, self.concentrator)
        point = self.cast.metering_point(site or self.site)
        self.cast.meter(point)
        return adapter, self.cast.pairing(adapter, point)

    def heard(self, adapter: Adapter | None = None, ago: timedelta = timedelta(0), **changes: Any) -> AdapterStatus:
        """What the pipeline would know of it."""
        adapter = adapter or self.adapter
        fields: dict[str, Any] = {
            "organisation": adapter.organisation,
            "concentrator": self.concentrator,
            "state": "heard",
            "last_seen": self.now - ago,
            "first_counter": 1,
            "last_counter": 10,
            "epoch": 1,
            "fcnt": 10,
            "rssi": -87.0,
            "snr": 7.5,
            "dr": 5,
            "telegrams": 10,
            "received": 10,
            "period_s": PERIOD.total_seconds(),
        }
        status, _made = AdapterStatus.objects.update_or_create(adapter=adapter, defaults={**fields, **changes})
        return status

    def silent(self, adapter: Adapter | None = None, ago: timedelta = timedelta(hours=5)) -> AdapterStatus:
        """Heard once, and then no more."""
        adapter = adapter or self.adapter
        Silence.objects.create(organisation=adapter.organisation, adapter=adapter, since=self.now - ago)
        return self.heard(adapter, ago, state="silent")

    def reading(
        self, value: int | None, ago: timedelta = timedelta(0), register: int = 1, adapter: Adapter | None = None
    ) -> Reading:
        """One register value; counters rise with time."""
        at = self.now - ago
        return Reading.objects.create(
            adapter=adapter or self.adapter,
            counter=int(at.timestamp()),
            register=register,
            measured_at=at,
            value=value,
            metering_point=self.pairing.metering_point,
        )

    def readings(self, values: list[int], register: int = 1, step: timedelta = PERIOD) -> None:
        """Values at equal distances, the last one now."""
        for back, value in enumerate(reversed(values)):
            self.reading(value, back * step, register)

    def telegram(self, number: int, ago: timedelta = timedelta(0), **changes: Any) -> Telegram:
        """One telegram as it was received."""
        at = self.now - ago
        fields: dict[str, Any] = {
            "id": ulid(at.timestamp(), secrets.token_bytes(10)),
            "organisation": self.adapter.organisation,
            "concentrator": self.concentrator,
            "adapter": self.adapter,
            "dev_eui": self.adapter.dev_eui,
            "received_at": at,
            "stored_at": at + timedelta(seconds=1),
            "counter": number,
            "fcnt": number,
            "epoch": 1,
            "freq": 868_100_000,
            "rssi": -87.0,
            "snr": 7.5,
            "fport": 16,
            "dr": 5,
            "time_quality": 2,
            "payload": bytes.fromhex("11267f619cc262b842d3e97ed2d1c10f"),
            "rx": [{"gw": GATEWAY, "rssi": -87.0, "snr": 7.5}],
        }
        return Telegram.objects.create(**{**fields, **changes})

    def event(self, kind: str, reason: str = "", ago: timedelta = timedelta(0), **changes: Any) -> AdapterEvent:
        """Something that the concentrator reported."""
        at = self.now - ago
        fields: dict[str, Any] = {
            "id": ulid(at.timestamp(), secrets.token_bytes(10)),
            "organisation": self.adapter.organisation,
            "concentrator": self.concentrator,
            "adapter": self.adapter,
            "dev_eui": self.adapter.dev_eui,
            "kind": kind,
            "reason": reason,
            "at": at,
        }
        return AdapterEvent.objects.create(**{**fields, **changes})


def body(answer: Any) -> bytes:
    """The content of an answer, of a streamed one too."""
    if not answer.streaming:
        return bytes(answer.content)

    async def collect() -> bytes:
        return b"".join([chunk async for chunk in answer.streaming_content])

    return async_to_sync(collect)()


def recipient_key() -> str:
    """A new public key on P-256, in PEM."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
