"""Opening through the vault's socket, as web workers do who hold no key."""

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portal.telemetry.sealed_asking import MAX_VALUES, Opened, Run, open_all, open_values
from provisioning.accounts.models import Membership
from provisioning.audit.chain import MAX_DATA_BYTES
from provisioning.audit.models import Entry
from provisioning.errors import Forbidden, Invalid
from provisioning.keys import kek
from provisioning.keys.vault import Vault
from provisioning.keys.vault_client import VaultAway
from provisioning.keys.vault_server import MAX_ANSWER, VaultServer
from tests.portal.stage import Stage
from tests.portal.telemetry.sealed_stage import END, START, keep_sealed, person, send

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stage(transactional_db: None) -> Stage:
    stage = Stage()
    keep_sealed(stage)
    return stage


@pytest.fixture
def vault(tmp_path: Path, settings: Any, stage: Stage) -> Iterator[VaultServer]:
    """A vault at a socket; this process has no key any more."""
    server = VaultServer(tmp_path / "vault.sock", Vault.from_settings(), {os.geteuid()})
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    settings.KEK_FILE, settings.VAULT_SOCKET = "", str(server.server_address)
    assert not kek.held()
    yield server
    server.shutdown()
    server.server_close()


def test_values_come_over_the_socket_and_the_audit_is_written_by_the_vault(stage: Stage, vault: VaultServer) -> None:
    device, operator = stage.device(), person(stage)
    send(stage, device, range(100, 120))
    found = open_values(operator, "billing", start=START, end=END, adapter=device.row.pk, registers=[1])
    assert list(found.values().values()) == list(range(100, 120))
    entry = Entry.objects.get(action="readings.opened")
    assert (entry.actor_name, entry.data["count"]) == (operator.email, 20)


def test_refusals_come_over_as_what_they_are(stage: Stage, vault: VaultServer) -> None:
    device, operator = stage.device(), person(stage)
    with pytest.raises(Invalid) as refused:
        open_values(operator, "curiosity", start=START, end=END, adapter=device.row.pk)
    assert refused.value.field == "purpose"
    Membership.objects.filter(user=operator).update(role="auditor")
    with pytest.raises(Forbidden):
        open_values(operator, "billing", start=START, end=END, adapter=device.row.pk)


def test_when_the_vault_ends_nothing_opens_and_nothing_is_lost(stage: Stage, vault: VaultServer, settings: Any) -> None:
    device, operator = stage.device(), person(stage)
    send(stage, device, range(3))
    path, settings.VAULT_SOCKET = settings.VAULT_SOCKET, settings.VAULT_SOCKET + ".gone"
    with pytest.raises(VaultAway):
        open_values(operator, "billing", start=START, end=END, adapter=device.row.pk)
    settings.VAULT_SOCKET = path
    found = open_all(operator, "billing", adapter=device.row.pk, registers=[1], first=START, last=END)
    assert sorted(found.values()) == [0, 1, 2]


def test_the_longest_answer_fits_between_vault_and_worker() -> None:
    counters = list(range(2**32 - MAX_VALUES, 2**32))
    runs = [Run(2**40, register, counters[register::200], [-(2**63) + 1] * 100) for register in range(200)]
    answer = msgspec.json.encode(Opened(runs, MAX_VALUES, datetime.now(UTC)))
    assert len(answer) < MAX_ANSWER - 100


def test_the_longest_audit_row_fits() -> None:
    data = {
        "purpose": "customer", "from": END.isoformat(), "to": (END + timedelta(days=400)).isoformat(),
        "registers": [255] * 64, "count": MAX_VALUES, "closed": MAX_VALUES,
    }  # fmt: skip
    assert len(msgspec.json.encode(data)) < MAX_DATA_BYTES
