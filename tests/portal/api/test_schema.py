"""The API's own description: complete, and true under fire."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from meterwire.messages import timestamp
from tests.cast import Cast
from tests.portal.api.conftest import As
from tests.portal.api.test_access import Fleet
from tests.portal.stage import NOON, Stage

schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(public=True))  # type: ignore[no-untyped-call]
schema.app = get_wsgi_application()
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.fixture
def open_connections() -> Iterator[None]:
    """The application under test runs in this thread: it must not close the test's connection."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.fixture
def headers(cast: Cast, by_token: As, open_connections: None) -> dict[str, str]:
    """The operator's token, in a house where there is one of everything."""
    Fleet(cast)
    stage = Stage(organisation=cast.organisation)
    device = stage.device()
    stage.run(*(device.telegram(received_at=timestamp(NOON + second)) for second in range(5)))
    return {"Authorization": by_token(cast.operator)._credentials["HTTP_AUTHORIZATION"]}


@pytest.mark.timeout(600)  # hundreds of requests, on a machine that may be busy
@pytest.mark.django_db
def test_no_request_makes_the_server_fail_or_answer_undescribed(headers: dict[str, str]) -> None:
    tried = 0
    for result in schema.get_all_operations():

        @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=result.ok().as_strategy())
        def fire(case: Any) -> None:
            case.validate_response(case.call(headers=headers), checks=CHECKS)

        fire()
        tried += 1
    assert tried > 30


@pytest.mark.django_db
def test_every_operation_describes_its_errors(client: Client) -> None:
    described = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            wanted = {"400", "401", "403", "404", "405"} | (set() if method == "get" else {"409", "415"})
            assert wanted <= set(operation["responses"]), (path, method)
    assert client.get("/api/schema/").status_code == 200


def test_the_documentation_obeys_the_content_security_policy(client: Client) -> None:
    page = client.get("/api/docs/")
    assert "script-src" in page["Content-Security-Policy"]
    text = page.content.decode()
    assert "<style" not in text
    scripts = re.findall(r"<script(.*?)>(.*?)</script>", text)
    assert len(scripts) == 3
    assert all("src=" in attributes and not content for attributes, content in scripts)
    assert b"SwaggerUIBundle" in client.get("/api/docs/?script=").content
