"""Power fails at every step of every write: afterwards there is the old state or the new one, and always a key."""

import os
from pathlib import Path

import pytest

from adapter_agent.keys.ring import KeyRing
from adapter_agent.keystore import KeyStore
from adapter_agent.state_folder import StateFolder
from meterwire.key_messages import KeyDelivery, KeyRevoke, mac_keys, wrap
from tests.adapter_agent.cast import BEGIN, DEV_EUI, JOIN_EUI, write_hand_over
from tests.adapter_agent.keys.cast import PORTAL, YEAR, Adapter, inner, key


class PowerLost(BaseException):
    """No code may catch it, as none runs on."""


class Power:
    """Fails before or after the step `at`; counts steps meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.after, self.steps = -1, False, 0
        for owner, name in ((os, "open"), (os, "fsync"), (Path, "rename"), (Path, "unlink"), (os, "close")):
            monkeypatch.setattr(owner, name, self._failing(getattr(owner, name)))

    def _failing(self, work):
        def step(*arguments, **more):
            here, self.steps = self.steps, self.steps + 1
            if here == self.at and not self.after:
                raise PowerLost
            result = work(*arguments, **more)
            if here == self.at:
                raise PowerLost
            return result

        return step


class Disk(Adapter):
    """Its keys lie in a real sealed file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = StateFolder(folder / "state", folder / "credential").__enter__()
        self._store = KeyStore(self._folder, DEV_EUI, JOIN_EUI, root=True, inner=True)
        transport = [{"partner": "portal", "key": PORTAL.reveal().hex()}]
        self._store.provision(write_hand_over(folder / "keys.json", transport_keys=transport))
        super().__init__()

    def load(self) -> KeyRing:
        return self._store.load().ring

    def close(self) -> None:
        self._folder.__exit__(None, None, None)


def delivery() -> bytes:
    message = KeyDelivery(1, inner(2), None, int(BEGIN) + YEAR, wrap(PORTAL, key(2)), key(2).check_value())
    return message.encode(mac_keys(PORTAL).down, DEV_EUI)


def revocation() -> bytes:
    return KeyRevoke(2, inner(1)).encode(mac_keys(PORTAL).down, DEV_EUI)


def delivered(disk: Disk) -> None:
    disk.requests.take(delivery())


def sealed(disk: Disk) -> None:
    disk.seal()


def acknowledged(disk: Disk) -> None:
    disk.said()


def revoked(disk: Disk) -> None:
    disk.requests.take(revocation())


LIFE = [delivered, acknowledged, sealed, revoked, acknowledged]


def states(disk: Disk) -> list:
    """What the file holds after each deed, beginning with none."""
    seen = [disk.ring.holding]
    for deed in LIFE:
        deed(disk)
        disk.restart()
        seen.append(disk.ring.holding)
    return seen


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("deed", range(len(LIFE)))
def test_after_power_failed_at_any_step_there_is_the_old_or_the_new(tmp_path, monkeypatch, deed, after):
    whole = Disk(tmp_path / "whole")
    seen = states(whole)
    whole.close()
    power, step, outcomes = Power(monkeypatch), 0, []
    while True:
        power.at = -1
        disk = Disk(tmp_path / f"step{step}")
        for before in LIFE[:deed]:
            before(disk)
            disk.restart()
        power.steps, power.at, power.after = 0, step, after
        try:
            LIFE[deed](disk)
            failed = False
        except PowerLost:
            failed = True
        power.at = -1
        disk.restart()
        outcomes.append(seen.index(disk.ring.holding))
        assert disk.ring.memory.choose("inner", BEGIN) is not None
        for later in LIFE[deed:]:  # the partner repeats what was not answered
            later(disk)
        assert disk.ring.holding == seen[-1]
        disk.close()
        if not failed:
            break
        step += 1
    assert step >= 6  # open, fsync, close, rename, open, fsync of the folder, …
    assert set(outcomes) == {deed, deed + 1}
