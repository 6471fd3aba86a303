"""What machines ask the portal."""

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from portal.bridge.models import Bridge
from portal.ops import health, views
from portal.ops.metrics import Exposition
from tests.portal.stage import Stage
from tests.provisioning.pki.authority import authority

pytestmark = pytest.mark.django_db


@pytest.fixture
def bridge(db: None) -> Bridge:
    now = timezone.now()
    figures = {"telegrams": 7, "refused_tag_mismatch": 2, "waiting": 3}
    return Bridge.objects.create(name="one", started_at=now, at=now, connected=True, figures=figures)


def test_alive_needs_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "cursor", None)
    assert client.get("/healthz").json() == {"status": "ok"}


def test_ready_when_database_redis_and_a_bridge_answer(client: Client, bridge: Bridge) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200, {"status": "ok", "database": "ok", "redis": "ok", "bridge": "ok", "certificates": "ok"},
    )  # fmt: skip
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"connected": False}, "not connected to the broker"),
        ({"at": timezone.now() - timedelta(minutes=2)}, "no sign of life for 30 s"),
    ],
)
def test_not_ready_without_a_working_bridge(
    client: Client, bridge: Bridge, change: dict[str, object], fault: str
) -> None:
    Bridge.objects.update(**change)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["bridge"], answer.json()["database"]) == (503, fault, "ok")


def test_not_ready_without_redis(client: Client, bridge: Bridge, settings: LazySettings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["redis"]) == (503, "does not answer (ConnectionError)")


def test_a_database_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(connection, "cursor", away)
    assert health.database() == "does not answer (DatabaseError)"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch, bridge: Bridge) -> None:
    monkeypatch.setattr(views, "_exposition", Exposition())


@pytest.mark.usefixtures("figures")
def test_metrics_tell_of_bridge_concentrators_and_adapters(client: Client, stage: Stage) -> None:
    stage.run(stage.device().telegram())
    text = client.get("/metrics").content.decode()
    for line in (
        'mspan_bridge_total{bridge="one",what="telegrams"} 7.0',
        'mspan_bridge_waiting_messages{bridge="one"} 3.0',
        'mspan_bridge_connected{bridge="one"} 1.0',
        'mspan_concentrators{online="false"} 1.0',
        'mspan_adapters{state="heard"} 1.0',
        "mspan_silences 0.0",
    ):
        assert line in text
    assert stage.organisation.name not in text


@pytest.mark.usefixtures("figures")
def test_metrics_tell_how_long_the_list_of_revoked_certificates_holds(client: Client) -> None:
    authority()
    text = client.get("/metrics").content.decode()

    left = next(line for line in text.splitlines() if line.startswith("mspan_revocation_list_seconds_left{"))
    assert left.startswith('mspan_revocation_list_seconds_left{authority="Issuing G1"} ')
    assert 0 < float(left.split()[-1]) <= 7 * 86_400
    assert 'mspan_certificates{state="valid"} 0.0' in text


def test_not_ready_when_that_list_nears_its_end(client: Client, bridge: Bridge) -> None:
    authority(now=timezone.now() - timedelta(days=6))

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert "is not signed anew" in answer.json()["certificates"]


@pytest.mark.usefixtures("figures")
def test_metrics_are_for_this_machine_or_the_holder_of_the_token(client: Client, settings: LazySettings) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.7").status_code == 403
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="192.0.2.7").status_code == 403
    settings.METRICS_TOKEN = "a token"
    assert client.get("/metrics").status_code == 403
    assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer a tokem").status_code == 403
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.7", HTTP_AUTHORIZATION="Bearer a token").status_code == 200


def test_they_are_only_read(client: Client) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.post(path).status_code == 405
