"""A portal to enrol at, and a device with a folder of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from concentrator_agent.enrolment.question import Question
from concentrator_agent.enrolment.wallet import WalletFile
from edge.sealedfile import load_credential
from tests.concentrator_agent.enrolment.est_server import EstServer, est_server

EUI = "0011223344556677"


@pytest.fixture
def est(tmp_path: Path) -> Iterator[EstServer]:
    with est_server(tmp_path) as server:
        (tmp_path / "ca.pem").write_bytes(server.authority.pem)
        yield server


@pytest.fixture
def wallet(tmp_path: Path) -> WalletFile:
    return WalletFile(tmp_path / "state", load_credential(tmp_path / "credential"))


@pytest.fixture
def asking(tmp_path: Path, est: EstServer, wallet: WalletFile) -> Callable[..., Question]:
    """The question of a device that has the right password and knows the time."""
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("once\n")
    plain = Question(
        state_dir=str(tmp_path / "state"),
        credential_file=str(tmp_path / "credential"),
        eui=EUI,
        est_url=est.url,
        ca_file=str(tmp_path / "ca.pem"),
        ca_fingerprint="",
        password_file=str(password),
        cert_file="",
        key_file="",
        curve="p-256",
        dates_known=True,
    )
    return lambda **changes: msgspec.structs.replace(plain, **changes)


def new_password(est: EstServer, folder: Path) -> None:
    """The portal gave out another one, and somebody has put it on the device."""
    est.password += "-again"
    (folder / "password").write_text(est.password)
