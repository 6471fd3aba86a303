"""Keys and certificates at rest: sealed, whole or not at all, and renewed at a time of their own."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from concentrator_agent.enrolment.due import Due, seconds_until_due, what_is_due
from concentrator_agent.enrolment.wallet import Held, Wallet, WalletFile
from edge.sealedfile import Credential, SealedFileUnreadable

DAY = 86_400.0


def held(number: int = 1, begins: float = 0.0, life: float = 90 * DAY) -> Held:
    return Held(b"key %d" % number, b"request", (b"certificate %d" % number,), begins, begins + life)


ASKED = Held(b"key", b"request")


def test_it_is_empty_at_first_and_keeps_what_was_written(wallet: WalletFile) -> None:
    assert wallet.read() == Wallet()
    full = Wallet(held(1), held(2), held(3), (b"authority",), b"digest")
    assert wallet.change(lambda _: full) == full
    assert wallet.read() == full


def test_another_devices_credential_does_not_open_it(wallet: WalletFile, tmp_path: Path) -> None:
    wallet.change(lambda _: Wallet(held()))
    stolen = WalletFile(tmp_path / "state", Credential(b"x" * 32))
    with pytest.raises(SealedFileUnreadable):
        stolen.read()


def test_what_another_version_wrote_is_named(tmp_path: Path) -> None:
    credential = Credential(b"c" * 32)
    file = WalletFile(tmp_path, credential)
    file._file.write(msgspec.msgpack.encode([1, 2, 3]))
    with pytest.raises(SealedFileUnreadable, match="enrol again"):
        file.read()


def test_a_change_that_fails_leaves_everything_as_it_was(wallet: WalletFile) -> None:
    wallet.change(lambda _: Wallet(held()))

    def power_cut(_: Wallet) -> Wallet:
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        wallet.change(power_cut)
    assert wallet.change(lambda same: same) == Wallet(held())


def test_two_processes_change_it_in_turn(wallet: WalletFile, tmp_path: Path) -> None:
    adding = f"""
from pathlib import Path
import msgspec
from concentrator_agent.enrolment.wallet import WalletFile
from edge.sealedfile import load_credential
file = WalletFile(Path({str(tmp_path / "state")!r}), load_credential(Path({str(tmp_path / "credential")!r})))
for _ in range(40):
    file.change(lambda w: msgspec.structs.replace(w, authorities=(*w.authorities, b"one more")))
"""
    others = [subprocess.Popen([sys.executable, "-c", adding]) for _ in range(2)]
    assert [other.wait(60) for other in others] == [0, 0]
    assert len(wallet.read().authorities) == 80


def test_no_key_shows_itself() -> None:
    assert "key 1" not in repr(Wallet(held(1), ASKED))


def test_the_broker_takes_only_what_was_issued() -> None:
    assert Wallet(held(1), ASKED).promoted() == Wallet(held(1), ASKED)
    assert Wallet(held(1), held(2), held(3)).promoted() == Wallet(held(2), None, held(1))
    assert Wallet(held(1), ASKED, held(3)).all == (held(1), held(3))


@given(st.binary(min_size=1, max_size=40), st.floats(0, 4e9), st.floats(1, 1e9))
def test_it_is_renewed_within_the_last_third_and_before_the_alarm(
    certificate: bytes, begins: float, life: float
) -> None:
    one = Held(b"", b"", (certificate,), begins, begins + life)
    assert begins + one.life_s * 0.66 <= one.renew_at <= begins + one.life_s * 0.72 < one.alarm_at < one.not_after
    assert one.renew_at == Held(b"another key", b"", (certificate,), begins, begins + life).renew_at


def test_a_fleet_of_one_batch_does_not_renew_in_step() -> None:
    moments = {held(number).renew_at for number in range(100)}
    assert len(moments) == 100
    assert max(moments) - min(moments) > 3 * DAY


@pytest.mark.parametrize(
    "wallet, now, dates_known, due",
    [
        (Wallet(), 0.0, True, Due.FIRST),
        (Wallet(next=ASKED), 0.0, True, Due.FIRST),
        (Wallet(held()), 1 * DAY, True, Due.NOTHING),
        (Wallet(held()), 66 * DAY, True, Due.RENEWAL),
        (Wallet(held(), ASKED), 1 * DAY, True, Due.NOTHING),
        (Wallet(held(), ASKED), 66 * DAY, True, Due.RENEWAL),
        (Wallet(held(), held(2, 60 * DAY)), 66 * DAY, True, Due.NOTHING),
        (Wallet(held()), 91 * DAY, True, Due.FIRST),
        (Wallet(held()), 91 * DAY, False, Due.RENEWAL),
        (Wallet(held(), held(2, 1 * DAY)), 92 * DAY, True, Due.FIRST),
        (Wallet(held(1, 1000 * DAY)), 0.0, False, Due.NOTHING),
    ],
)
def test_what_is_due(wallet: Wallet, now: float, dates_known: bool, due: Due) -> None:
    assert what_is_due(wallet, now, dates_known=dates_known) is due
    assert what_is_due(wallet, now, dates_known=dates_known, anew=True) is Due.FIRST


def test_a_clock_before_the_certificates_time_counts_as_its_first_second() -> None:
    one = held(1, 1000 * DAY)
    assert seconds_until_due(Wallet(one), 0.0) == pytest.approx(one.renew_at - one.not_before)
    assert seconds_until_due(Wallet(one), 2000 * DAY) == 0.0
    assert seconds_until_due(Wallet(), 0.0) == 0.0
