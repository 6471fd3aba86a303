"""Keys are unwrapped in a process of their own: the right rows come back, and what goes wrong is named."""

import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from concentrator_agent.config import Config
from concentrator_agent.enrolment.request import new, private_key
from concentrator_agent.enrolment.wallet import Wallet, WalletFile
from concentrator_agent.rootkeys import KeyProcess, KeyServiceFailed, Task
from concentrator_agent.server.join import open_root_key, open_transport_key
from edge.sealedfile import load_credential
from meterwire import transport_key
from meterwire.curves import Curve
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
    sealed = path.read_bytes()
    path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
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


async def test_what_is_wrapped_for_the_certificates_opens_with_the_new_the_present_and_the_previous_one(
    config: Config,
) -> None:
    await KeyProcess(config).public_key()
    credential = load_credential(config.credential_file)
    wallet = WalletFile(config.concentrator.state_dir, credential)
    curves = (Curve.P256, Curve.BRAINPOOL, Curve.P256)
    held = current, coming, previous = [replace(new(config.eui, curve), chain=(b"issued",)) for curve in curves]
    stranger = new(config.eui, Curve.P256)
    wallet.change(lambda _: Wallet(current, coming, previous))
    motes = [Mote(number) for number in range(1, 5)]
    entries = []
    for mote, one in zip(motes, [*held, stranger], strict=True):
        root, transport = (
            transport_key.wrap(
                private_key(one).public.octets,
                key,
                concentrator=CONCENTRATOR,
                dev_eui=DevEUI.parse(mote.dev_eui),
                purpose=purpose,
                ephemeral_private=bytes([7]) * 48,
            )
            for purpose, key in (("root", mote.key), ("transport", b"t" * 16))
        )
        entries.append(mote.entry(root_key=root, transport_key=transport))
    outcomes = await KeyProcess(config).stage([Task(entry, None) for entry in entries])
    assert [outcome.reason for outcome in outcomes] == [None, None, None, "key"]
    for mote, outcome in zip(motes[:3], outcomes[:3], strict=True):
        assert outcome.row.root_key is not None
        assert outcome.row.transport_key is not None
        assert open_root_key(credential, mote.dev_eui, outcome.row.root_key) == mote.key
        assert open_transport_key(credential, mote.dev_eui, outcome.row.transport_key) == b"t" * 16


async def test_without_any_certificate_what_is_wrapped_for_one_is_refused_by_name(config: Config) -> None:
    await KeyProcess(config).public_key()
    mote, one = Mote(1), new(config.eui, Curve.P256)
    wrapped = transport_key.wrap(
        private_key(one).public.octets,
        mote.key,
        concentrator=CONCENTRATOR,
        dev_eui=DevEUI.parse(mote.dev_eui),
        purpose="root",
        ephemeral_private=bytes([7]) * 48,
    )
    (outcome,) = await KeyProcess(config).stage([Task(mote.entry(root_key=wrapped), None)])
    assert (outcome.reason, outcome.row.action) == ("key", "keep")
