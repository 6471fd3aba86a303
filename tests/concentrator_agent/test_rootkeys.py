"""Keys are unwrapped in a process of their own: the right rows come back, and what goes wrong is named."""

import subprocess
from pathlib import Path

import pytest

from concentrator_agent.config import Config
from concentrator_agent.rootkeys import KeyProcess, KeyServiceFailed, Task
from concentrator_agent.server.join import open_root_key
from edge.sealedfile import load_credential
from meterwire import transport_key
from meterwire.ids import DevEUI
from tests.concentrator_agent.field import config_for, entry
from tests.concentrator_agent.lab import CONCENTRATOR, Mote


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_for(tmp_path)


async def test_the_public_key_is_made_once_and_stays(config: Config) -> None:
    keys = KeyProcess(config)
    first = await keys.public_key()
    assert len(first) == 32
    assert await keys.public_key() == first
    assert (config.concentrator.state_dir / "transport.key").stat().st_mode & 0o777 == 0o600


async def test_a_wrapped_key_comes_back_sealed_and_a_foreign_one_is_refused(config: Config) -> None:
    keys = KeyProcess(config)
    public_key = await keys.public_key()
    good, bad = Mote(1), Mote(2)
    wrong = transport_key.wrap(
        public_key,
        bad.key,
        concentrator=CONCENTRATOR,
        dev_eui=DevEUI.parse(good.dev_eui),
        purpose="root",
        ephemeral_private=b"e" * 32,
    )
    outcomes = await keys.stage([Task(entry(good, public_key), None), Task(bad.entry(root_key=wrong), None)])
    assert [(outcome.row.dev_eui, outcome.row.action, outcome.reason) for outcome in outcomes] == [
        (good.dev_eui, "put", None),
        (bad.dev_eui, "keep", "key"),
    ]
    sealed = outcomes[0].row.root_key
    assert sealed is not None
    assert good.key not in sealed
    credential = load_credential(config.credential_file)
    assert open_root_key(credential, good.dev_eui, sealed) == good.key


async def test_a_damaged_private_key_is_named_and_nothing_else_shown(config: Config) -> None:
    keys = KeyProcess(config)
    await keys.public_key()
    path = config.concentrator.state_dir / "transport.key"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(KeyServiceFailed, match=r"transport\.key does not open") as caught:
        await keys.public_key()
    assert caught.value.temporary


@pytest.mark.parametrize(
    "done, message",
    [
        (subprocess.CompletedProcess([], 0, b"nonsense", b""), "no answer that can be read"),
        (subprocess.CompletedProcess([], -9, b"", b""), "ended with -9"),
        (OSError("no memory"), "did not run"),
        (subprocess.TimeoutExpired([], 1), "did not run"),
    ],
)
async def test_a_process_that_dies_or_babbles_is_a_temporary_failure(
    config: Config, monkeypatch: pytest.MonkeyPatch, done: object, message: str
) -> None:
    def run(*arguments: object, **options: object) -> object:
        if isinstance(done, Exception):
            raise done
        return done

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(KeyServiceFailed, match=message):
        await KeyProcess(config).public_key()
