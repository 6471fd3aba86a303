"""What a meter signs by itself is checked as soon as its key is known, and a wrong signature is reported."""

from datetime import timedelta
from io import StringIO

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from django.core.management import CommandError, call_command

from portal.bridge.ingest import Ingest
from portal.bridge.mail import Mail
from portal.days.models import MeterKey
from portal.days.services.meters import know_meter_key, passed_through
from portal.telemetry.models import AdapterEvent
from provisioning.accounts.actors import System
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.fleet.models import Meter
from tests.cast import LONG_AGO, Cast
from tests.portal.stage import NOON, Device, Stage, telegram

pytestmark = pytest.mark.django_db

METER = ec.derive_private_key(0xA1B2C3, ec.SECP192R1())
POINT = METER.public_key().public_numbers()
PUBLIC = (POINT.x.to_bytes(24) + POINT.y.to_bytes(24)).hex()


def signed(content: bytes) -> bytes:
    """As the meter sends it: content, r, s."""
    r, s = decode_dss_signature(METER.sign(content, ec.ECDSA(SHA256())))
    return content + r.to_bytes(24) + s.to_bytes(24)


@pytest.fixture
def device(stage: Stage) -> Device:
    return stage.device()


@pytest.fixture
def meter(stage: Stage, device: Device) -> Meter:
    point = stage.metering_point()
    made = Meter.objects.create(
        organisation=stage.organisation, metering_point=point, meter_id="1EMH0000000001", installed_at=LONG_AGO
    )
    pairing = stage.pair(device.row, point)
    pairing.meter = made
    pairing.save()
    return made


def arrive(stage: Stage, device: Device, payload: bytes) -> None:
    sent = telegram(device.row.dev_eui, fport=18, payload=payload)
    Ingest(stage.pipeline).run([Mail(stage.concentrator.eui, telegrams=(sent,))], round(NOON * 1e6))


def reported() -> list[str]:
    return list(AdapterEvent.objects.filter(kind="security").values_list("reason", flat=True))


def verdicts(device: Device, meter: Meter) -> list[bool | None]:
    end = LONG_AGO + timedelta(days=400)
    return [one.fits for one in passed_through(device.row, LONG_AGO, end)]


def test_a_signature_that_fits_is_no_news(stage: Stage, device: Device, meter: Meter) -> None:
    know_meter_key(System("test"), meter, curve="secp192r1", public=PUBLIC)
    arrive(stage, device, signed(b"1-0:1.8.0 = 4711"))
    assert verdicts(device, meter) == [True]
    assert reported() == []


def test_a_wrong_signature_is_a_security_event(stage: Stage, device: Device, meter: Meter) -> None:
    know_meter_key(System("test"), meter, curve="secp192r1", public=PUBLIC)
    arrive(stage, device, b"?" + signed(b"1-0:1.8.0 = 4711"))
    assert verdicts(device, meter) == [False]
    assert reported() == ["meter_signature_wrong"]


def test_without_a_known_key_nothing_is_said(stage: Stage, device: Device, meter: Meter) -> None:
    arrive(stage, device, signed(b"1-0:1.8.0 = 4711"))
    assert verdicts(device, meter) == [None]
    assert reported() == []


def test_a_key_made_known_later_checks_what_came_before(stage: Stage, device: Device, meter: Meter) -> None:
    arrive(stage, device, signed(b"1-0:1.8.0 = 4711"))
    know_meter_key(System("test"), meter, curve="secp192r1", public=PUBLIC)
    assert verdicts(device, meter) == [True]


def test_the_key_of_a_meter_at_another_adapter_says_nothing_here(stage: Stage, device: Device, meter: Meter) -> None:
    know_meter_key(System("test"), meter, curve="secp192r1", public=PUBLIC)
    other = stage.device()
    arrive(stage, other, signed(b"1-0:1.8.0 = 4711"))
    assert verdicts(other, meter) == [None]


@pytest.mark.parametrize(
    ("curve", "public", "field"),
    [
        ("p-256", PUBLIC, "curve"),
        ("secp192r1", "00" * 48, "public"),
        ("secp192r1", "no hex", "public"),
        ("secp192r1", PUBLIC * 100, "public"),
        ("brainpoolP256r1", PUBLIC, "public"),
    ],
)
def test_what_is_no_key_is_refused(meter: Meter, curve: str, public: str, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        know_meter_key(System("test"), meter, curve=curve, public=public)
    assert refusal.value.field == field


def test_a_key_is_known_once_and_written_down(meter: Meter) -> None:
    know_meter_key(System("test"), meter, curve="secp192r1", public=PUBLIC)
    with pytest.raises(Conflict):
        know_meter_key(System("test"), meter, curve="secp192r1", public=PUBLIC.upper())
    assert Entry.objects.get(action="meter_key.added").data["meter"] == meter.meter_id


def test_a_viewer_makes_no_key_known() -> None:
    cast = Cast.assemble()
    with pytest.raises(Forbidden):
        know_meter_key(cast.viewer, cast.meter(), curve="secp192r1", public=PUBLIC)


def test_the_command_makes_a_key_known(meter: Meter) -> None:
    out = StringIO()
    call_command("meter_key", meter.meter_id, "secp192r1", PUBLIC, stdout=out)
    assert MeterKey.objects.get().meter == meter
    with pytest.raises(CommandError, match="known already"):
        call_command("meter_key", meter.meter_id, "secp192r1", PUBLIC)
    with pytest.raises(CommandError, match="No meter"):
        call_command("meter_key", "1EMH0000000002", "secp192r1", PUBLIC)
