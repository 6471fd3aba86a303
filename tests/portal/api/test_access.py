"""Who sees and does what: every route, as nobody, as an outsider, and as each role. Generated from the routes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from meterwire.messages import ulid
from portal.telemetry.models import AdapterEvent, Telegram
from provisioning.accounts.models import ApiToken, Role
from provisioning.campaigns.services import plan
from provisioning.pairing.services import set_photo
from tests.cast import STAGE, Cast
from tests.portal.api.conftest import As
from tests.provisioning.labelled import picture

pytestmark = pytest.mark.django_db
PUBLIC = {"/api/schema/", "/api/docs/"}


@dataclass(frozen=True)
class Route:
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


def routes() -> Iterator[Route]:
    """Every address of the API with each of its methods."""
    for pattern, prefix in _patterns(get_resolver().url_patterns, "/"):
        if not prefix.startswith("/api/") or prefix in PUBLIC:
            continue
        actions = getattr(pattern.callback, "actions", {})
        for method in actions:
            yield Route(method, prefix)


def _patterns(patterns: list[Any], prefix: str) -> Iterator[tuple[URLPattern, str]]:
    for pattern in patterns:
        text = prefix + str(pattern.pattern).lstrip("^").rstrip("$").replace("\\Z", "")
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns, text)
        elif isinstance(pattern, URLPattern):
            yield pattern, text


ROUTES = [route for route in routes() if "api" in route.path]


class Fleet:
    """One of everything, in the home organisation."""

    def __init__(self, cast: Cast) -> None:
        pairing = cast.pairing(cast.keyed_adapter())
        adapter, point = pairing.adapter, pairing.metering_point
        set_photo(STAGE, pairing, picture())
        concentrator, meter = cast.concentrator(point.site), cast.meter()
        name = ulid(1.7e9, bytes(10))
        AdapterEvent.objects.create(
            id=name, organisation=cast.organisation, adapter=adapter, kind="heard", at=pairing.from_at
        )
        Telegram.objects.create(
            id=name, organisation=cast.organisation, concentrator=concentrator, adapter=adapter, fcnt=1, freq=1,
            rssi=-1, received_at=pairing.from_at, stored_at=pairing.from_at, snr=1, fport=16, dr=5, time_quality=2,
            rx=[], dev_eui=adapter.dev_eui, payload=b"",
        )  # fmt: skip
        campaign = plan(STAGE, cast.organisation, scope=adapter)
        self.keys = {
            "sites": point.site.pk,
            "metering-points": point.pk,
            "meters": meter.pk,
            "concentrators": concentrator.pk,
            "adapters": adapter.pk,
            "pairings": pairing.pk,
            "telegrams": name,
            "events": name,
            "keys": adapter.keys.first().pk,
            "key-campaigns": campaign.pk,
            "key-deliveries": campaign.deliveries.get().pk,
        }
        self.adapter = adapter

    def body(self, route: Route) -> dict[str, Any]:
        """What that route could be given."""
        everything = {
            "name": "New", "eui": "00800000a0ffffff", "dev_eui": "70b3d57ed1ffffff", "join_eui": "70b3d57ed1000000",
            "meter_id": "1 EMH 00 9999 0001", "app_key": "0" * 32, "fingerprint": "x", "site": self.keys["sites"],
            "metering_point": self.keys["metering-points"], "reason": "test", "how": "retry", "raw": "x",
            "adapter_scan": self.adapter.dev_eui, "meter_scan": "1 EMH 00 9999 0001",
        }  # fmt: skip
        return {} if route.path.endswith(("archive/", "remove/", "reset-password/")) else everything

    def address(self, route: Route) -> str:
        noun = route.path.split("/")[3]
        path, _, rest = route.path.partition("(?P<pk>")
        if rest:
            path += str(self.keys[noun]) + rest.partition(")")[2]
        return path + (f"?adapter={self.adapter.pk}" if noun == "readings" else "")


@pytest.fixture
def fleet(cast: Cast) -> Fleet:
    return Fleet(cast)


def test_there_are_routes() -> None:
    assert len(ROUTES) > 30
    assert {route.path.split("/")[3] for route in ROUTES} >= {"sites", "adapters", "readings", "telegrams"}


def test_nobody_gets_anything(fleet: Fleet) -> None:
    for header in (None, "Bearer", "Bearer mspan_0123456789_" + "0" * 48):
        credentials = {} if header is None else {"HTTP_AUTHORIZATION": header}
        for route in ROUTES:
            response = getattr(APIClient(), route.method)(fleet.address(route), **credentials)
            assert response.status_code == 401, route
            assert response["WWW-Authenticate"] == "Bearer"
            assert set(response.json()) == {"code", "message"}


def test_an_outsider_finds_nothing(fleet: Fleet, cast: Cast, by_token: As, by_session: As) -> None:
    """Another organisation's operator, who may do all this at home."""
    token, session = by_token(cast.outsider), by_session(cast.outsider)
    for route in ROUTES:
        for client in (token, session) if route.method == "get" else (token,):
            response = getattr(client, route.method)(fleet.address(route), {}, format="json")
            if "(?P<pk>" in route.path:
                assert response.status_code in {403, 404}, (route, response.content)
            elif route.method == "get":
                assert response.status_code == 200, route
                assert response.json()["results"] == []
            else:
                assert response.status_code in {400, 403}, (route, response.content)


def test_the_operator_sees_all_of_it(fleet: Fleet, cast: Cast, by_token: As, by_session: As) -> None:
    for client in (by_token(cast.operator), by_session(cast.operator)):
        for route in ROUTES:
            if route.method == "get":
                assert client.get(fleet.address(route)).status_code == 200, route


def test_a_viewer_and_a_reading_token_change_nothing(fleet: Fleet, cast: Cast, by_token: Any) -> None:
    for client in (by_token(cast.viewer), by_token(cast.operator, read_only=True)):
        for route in ROUTES:
            if route.method != "get":
                response = getattr(client, route.method)(fleet.address(route), fleet.body(route), format="json")
                assert (response.status_code, response.json()["code"]) == (403, "forbidden"), (route, response.content)


def test_diagnosis_is_for_those_whose_role_says_so(fleet: Fleet, cast: Cast, by_token: As) -> None:
    for role in Role.values:
        client = by_token(cast.home.people[role])
        telegrams = client.get("/api/v1/telegrams/").json()["results"]
        assert bool(telegrams) == (role != Role.VIEWER), role
        assert client.get("/api/v1/adapters/").json()["results"]


def test_a_revoked_token_ends_at_once(cast: Cast, by_token: As) -> None:
    client = by_token(cast.operator)
    assert client.get("/api/v1/sites/").status_code == 200
    ApiToken.objects.update(revoked_at=cast.pairing().from_at)
    assert client.get("/api/v1/sites/").status_code == 401


def test_a_session_needs_the_csrf_token_to_write(cast: Cast, by_session: As) -> None:
    response = by_session(cast.operator).post("/api/v1/sites/", {"name": "x"}, format="json")
    assert response.status_code == 403
    assert set(response.json()) == {"code", "message"}
