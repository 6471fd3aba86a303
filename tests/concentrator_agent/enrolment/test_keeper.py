"""The daemon's side: when the portal is asked, how long it waits, what it shows to the broker, and what it reports."""

import asyncio
import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from concentrator_agent.backhaul.link import Backhaul
from concentrator_agent.backhaul.outbox_pump import OutboxPump
from concentrator_agent.config import Concentrator, Config, Enrolment, Mqtt
from concentrator_agent.enrolment import keeper as keeping
from concentrator_agent.enrolment.identity import Identity
from concentrator_agent.enrolment.keeper import ALARM_S, LOOK_AGAIN_S, PENDING_S, Keeper
from concentrator_agent.enrolment.question import Answer, decode_question
from concentrator_agent.enrolment.step import step
from concentrator_agent.enrolment.wallet import Held, Wallet, WalletFile
from concentrator_agent.modes import Gate, GateSettings
from concentrator_agent.store import MIGRATIONS
from edge.clock import ManualClock
from edge.database import Database
from edge.mqtt import LinkRefused
from edge.outbox import Limits, Outbox
from edge.sealedfile import SealedFileError
from edge.ulids import Ulids
from meterwire.ids import GatewayEUI
from tests.concentrator_agent.enrolment.conftest import EUI, new_password
from tests.concentrator_agent.enrolment.est_server import EstServer


class Bench:
    """A keeper whose portal answers what `answers` says; `notes` and `reconnections` are what it did."""

    def __init__(self, wallet: WalletFile, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = ManualClock()
        self.wallet = wallet
        self.answers: list[Answer] = []
        self.asked = 0
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.reconnections = 0
        self.wholes = 0
        self.dates_known = True
        self.on_ask: Callable[[], None] = lambda: None
        self.identity = Identity(wallet, None, lambda: self.dates_known)
        assert config.enrolment is not None
        self.keeper = Keeper(
            config,
            config.enrolment,
            self.identity,
            self.clock,
            rng=random.Random(1),
            dates_known=lambda: self.dates_known,
            note=lambda kind, reason, **detail: self.notes.append((reason, detail)),
            reconnect=self._reconnected,
            wholes=lambda: self.wholes,
        )
        monkeypatch.setattr(keeping, "_ask", self._answer)

    def _answer(self, body: bytes) -> Answer:
        self.asked += 1
        assert decode_question(body).now == self.clock.time()
        self.on_ask()
        return self.answers.pop(0)

    def _reconnected(self) -> None:
        self.reconnections += 1

    def put(self, wallet: Wallet) -> None:
        self.wallet.change(lambda _: wallet)

    def held(self, number: int = 1, *, age: float = 0.0, life: float = 9000.0) -> Held:
        """Issued `age` seconds ago."""
        begins = self.clock.time() - age
        return Held(b"key %d" % number, b"request", (b"certificate %d" % number,), begins, begins + life)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        concentrator=Concentrator(
            eui=GatewayEUI.parse(EUI), state_dir=tmp_path / "state", credential_file=tmp_path / "credential"
        ),
        mqtt=Mqtt(host="localhost"),
        enrolment=Enrolment(est_url="https://localhost/", retry_max_s=100.0),
    )


@pytest.fixture
def bench(wallet: WalletFile, config: Config, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(wallet, config, monkeypatch)


async def test_the_first_certificate_is_asked_for_at_once_and_shown_at_once(bench: Bench) -> None:
    bench.answers = [Answer("issued")]
    bench.on_ask = lambda: bench.put(Wallet(bench.held()))
    waiting = asyncio.ensure_future(bench.identity.wait())
    await bench.keeper.turn()
    await asyncio.wait_for(waiting, 1)
    assert (bench.asked, bench.reconnections, bench.notes) == (1, 1, [("issued", {})])


async def test_nothing_is_asked_before_two_thirds_of_its_life_are_over(bench: Bench) -> None:
    bench.put(Wallet(bench.held(age=0)))
    assert await bench.keeper.turn() == LOOK_AGAIN_S
    assert bench.asked == 0
    bench.put(Wallet(bench.held(age=6500)))
    bench.answers = [Answer("issued")]
    await bench.keeper.turn()
    assert bench.asked == 1


async def test_what_the_portal_asks_for_is_waited_and_otherwise_ever_longer(bench: Bench) -> None:
    bench.answers = [Answer("pending", 120.0), Answer("pending"), Answer("failed", 30.0)]
    assert [await bench.keeper.turn() for _ in range(3)] == [120.0, PENDING_S, 30.0]
    bench.answers = [Answer("failed", None, "unavailable", "away") for _ in range(60)]
    waits = [await bench.keeper.turn() for _ in range(60)]
    assert 5.0 <= min(waits) < max(waits) <= 100.0
    assert len(set(waits)) > 50


async def test_after_a_renewal_that_ends_soon_the_portal_is_left_in_peace_for_a_while(bench: Bench) -> None:
    bench.put(Wallet(bench.held(1, age=8000)))
    bench.answers = [Answer("issued")]
    bench.on_ask = lambda: bench.put(Wallet(bench.held(2, age=8000), None, None))
    await bench.keeper.turn()
    assert await bench.keeper.turn() == pytest.approx(100.0)
    assert bench.asked == 1
    await bench.clock.advance(101)
    bench.answers = [Answer("issued")]
    await bench.keeper.turn()
    assert bench.asked == 2


async def test_a_new_certificate_that_the_broker_did_not_take_is_shown_once_more_later(bench: Bench) -> None:
    bench.put(Wallet(bench.held(1), bench.held(2)))
    assert await bench.keeper.turn() == LOOK_AGAIN_S
    assert (bench.asked, bench.reconnections) == (0, 1)


async def test_the_old_key_is_kept_until_a_whole_table_came_after_the_new_certificate(bench: Bench) -> None:
    bench.put(Wallet(bench.held(1, age=6500)))
    bench.wholes = 1  # from before
    bench.answers = [Answer("issued")]
    bench.on_ask = lambda: bench.put(Wallet(bench.held(2), None, bench.held(1)))
    await bench.keeper.turn()
    await bench.keeper.turn()
    assert bench.wallet.read().previous is not None
    bench.wholes = 2
    await bench.keeper.turn()
    assert bench.wallet.read().previous is None


async def test_one_that_nearly_ends_is_an_alarm_now_and_then_once_dates_are_known(bench: Bench) -> None:
    bench.put(Wallet(bench.held(age=8000)))
    bench.answers = [Answer("failed", 1.0) for _ in range(9)]
    bench.dates_known = False
    await bench.keeper.turn()
    assert bench.notes == []
    bench.dates_known = True
    await bench.keeper.turn()
    await bench.keeper.turn()
    assert bench.notes == [("expiring", {"hours_left": 0.3})]
    await bench.clock.advance(ALARM_S)
    await bench.keeper.turn()
    assert len(bench.notes) == 2


async def test_a_wallet_that_does_not_open_is_said_and_looked_at_again(bench: Bench, tmp_path: Path) -> None:
    bench.put(Wallet(bench.held()))
    (tmp_path / "state" / "certificates").chmod(0o644)
    assert await bench.keeper.turn() == LOOK_AGAIN_S
    assert bench.asked == 0


async def test_a_wallet_that_cannot_be_written_ends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.put(Wallet(bench.held(2), None, bench.held(1)))
    bench.wholes = 1
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", disk_full)
        assert await bench.keeper.turn() == LOOK_AGAIN_S
    assert "cannot be read or kept" in caplog.text
    await bench.keeper.turn()
    assert bench.wallet.read().previous is None


def disk_full(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_the_process_that_asks_answers_or_its_failure_does(
    est: EstServer, config: Config, wallet: WalletFile, tmp_path: Path
) -> None:
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("once")
    enrolment = Enrolment(est_url=est.url, ca_file=tmp_path / "ca.pem", password_file=tmp_path / "password")
    notes: list[str] = []
    keeper = Keeper(
        config,
        enrolment,
        Identity(wallet, None, lambda: True),
        ManualClock(),
        rng=random.Random(1),
        dates_known=lambda: True,
        note=lambda kind, reason: notes.append(reason),
        reconnect=lambda: None,
        wholes=lambda: 0,
    )
    await keeper.turn()
    assert notes == ["issued"]
    assert wallet.read().current is not None
    (tmp_path / "state" / "certificates").chmod(0o644)
    broken = keeping._ask(b"nonsense")
    assert (broken.state, broken.code) == ("failed", "process")


class TestIdentity:
    """Which certificate is shown to the broker."""

    @pytest.fixture
    def identity(self, est: EstServer, wallet: WalletFile, asking: Callable[..., Any], tmp_path: Path) -> Identity:
        step(asking())
        self.wallet = wallet
        self.old = self.current()
        new_password(est, tmp_path)
        step(asking())
        self.new = self.current()
        wallet.change(lambda w: msgspec.structs.replace(w, current=self.old, next=self.new, previous=None))
        return Identity(wallet, None, lambda: True)

    def current(self) -> Held:
        held = self.wallet.read().current
        assert held is not None
        return held

    async def test_the_new_one_is_tried_first_and_takes_over_when_it_works(self, identity: Identity) -> None:
        identity.context()
        assert identity.worked()
        after = self.wallet.read()
        assert (after.current, after.next, after.previous) == (self.new, None, self.old)
        identity.context()
        assert not identity.worked()

    async def test_while_the_broker_takes_neither_they_alternate(self, identity: Identity) -> None:
        shown = []
        for _ in range(4):
            identity.context()
            shown.append(identity._shown)
        assert shown == [self.new, self.old, self.new, self.old]
        assert not identity.worked()
        assert self.wallet.read().next == self.new
        identity.context()
        assert identity._shown == self.new

    async def test_without_a_certificate_there_is_no_tls(self, tmp_path: Path, wallet: WalletFile) -> None:
        with pytest.raises(LinkRefused, match="enrol first"):
            Identity(wallet, None, lambda: True).context()

    async def test_a_wallet_that_does_not_open_is_a_refusal(self, identity: Identity, tmp_path: Path) -> None:
        (tmp_path / "state" / "certificates").chmod(0o644)
        with pytest.raises(LinkRefused, match="chmod 600"):
            identity.context()

    async def test_a_wallet_that_cannot_be_kept_does_not_hold_up_what_is_to_be_sent(
        self, identity: Identity, config: Config, tmp_path: Path
    ) -> None:
        clock = ManualClock()
        assert config.mqtt is not None
        backhaul = Backhaul(config, config.mqtt, Gate(GateSettings()), clock, on_message=heard, identity=identity)
        outbox = Outbox(Database(tmp_path / "outbox.db", MIGRATIONS), Limits(), clock)
        backhaul.pump = OutboxPump(outbox, backhaul.publish, clock, Ulids(clock))
        identity.context()
        (tmp_path / "state" / "certificates").chmod(0o644)
        with pytest.raises(SealedFileError):
            await backhaul._greet()
        assert backhaul.pump._connected


async def heard(_topic: str, _body: bytes) -> None:
    """Nobody speaks."""
