"""A proof convinces somebody who has nothing of ours: the script of the documentation, with openssl."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from meterwire.curves import Curve
from portal.days import proofs
from portal.days.models import DayState, SignedDay
from portal.telemetry.models import Telegram as Stored
from provisioning.accounts.actors import System
from provisioning.audit.models import Entry
from provisioning.errors import Conflict
from tests.portal.days.signer import Portal, Signer

pytestmark = pytest.mark.django_db

SCRIPT = Path(__file__).parents[3] / "docs" / "verify_signed_day.py"


@pytest.fixture
def signed(portal: Portal, signer: Signer) -> SignedDay:
    portal.hear(signer, *signer.live_a_day(restart_after=10))
    portal.converse(signer, rounds=1)
    return portal.row(signer)


def judged(folder: Path, proof: dict[str, Any]) -> tuple[int, str]:
    file = folder / "proof.json"
    file.write_text(json.dumps(proof), encoding="utf-8")
    ended = subprocess.run([sys.executable, SCRIPT, file], capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout.strip()


def test_the_proof_convinces_a_third_party(signed: SignedDay, tmp_path: Path) -> None:
    code, text = judged(tmp_path, proofs.proof(signed))
    assert (code, text) == (0, f"{signed.day} of {signed.adapter.dev_eui}: 48 telegrams signed, 48 of them shown")


def test_so_does_one_on_the_brainpool_curve(portal: Portal, signer: Signer, tmp_path: Path) -> None:
    signer.curve = Curve.BRAINPOOL
    signer.restart()
    portal.hear(signer, *signer.live_a_day())
    portal.converse(signer, rounds=1)
    assert judged(tmp_path, proofs.proof(portal.row(signer)))[0] == 0


def test_telegrams_that_are_gone_are_proven_by_their_hashes(signed: SignedDay, tmp_path: Path) -> None:
    Stored.objects.filter(counter__lt=1005).delete()
    code, text = judged(tmp_path, proofs.proof(signed))
    assert code == 0
    assert text.endswith("48 telegrams signed, 43 of them shown")


def test_a_telegram_that_was_sealed_anew_no_longer_shows_but_stays_proven(signed: SignedDay, tmp_path: Path) -> None:
    Stored.objects.filter(counter=1003).update(payload=b"sealed under another key")
    code, text = judged(tmp_path, proofs.proof(signed))
    assert code == 0
    assert text.endswith("47 of them shown")


def changed_payload(proof: dict[str, Any]) -> None:
    proof["telegrams"][5]["payload"] = "00" + proof["telegrams"][5]["payload"][2:]


def changed_leaf(proof: dict[str, Any]) -> None:
    proof["telegrams"][5] = {"counter": proof["telegrams"][5]["counter"], "leaf": "00" * 32}


def left_out(proof: dict[str, Any]) -> None:
    del proof["telegrams"][5]
    proof["leaves"] -= 1


def other_day(proof: dict[str, Any]) -> None:
    proof["day"] += 1


def other_adapter(proof: dict[str, Any]) -> None:
    proof["dev_eui"] = "70b3d57ed0000001"


def swapped(proof: dict[str, Any]) -> None:
    proof["telegrams"][5], proof["telegrams"][6] = proof["telegrams"][6], proof["telegrams"][5]


@pytest.mark.parametrize("change", [changed_payload, changed_leaf, left_out, other_day, other_adapter, swapped])
def test_a_changed_proof_convinces_nobody(signed: SignedDay, tmp_path: Path, change: Any) -> None:
    proof = proofs.proof(signed)
    change(proof)
    assert judged(tmp_path, proof)[0] == 1


def test_what_is_not_verified_has_no_proof(signed: SignedDay) -> None:
    signed.state = DayState.WAITING
    with pytest.raises(Conflict, match="nothing to prove"):
        proofs.proof(signed)


def test_handing_a_proof_out_is_written_down(signed: SignedDay) -> None:
    proofs.export(System("test"), signed)
    assert Entry.objects.get(action="signed_day.exported").data["telegrams"] == 48


def test_the_command_checks_anew_and_writes_the_proof(signed: SignedDay, tmp_path: Path) -> None:
    out, file = StringIO(), tmp_path / "proof.json"
    call_command("verify_day", signed.adapter.dev_eui, str(signed.day), proof=file, stdout=out)
    assert "state      signed" in out.getvalue()
    assert "48 signed, 0 without content, 0 not covered" in out.getvalue()
    assert judged(tmp_path, json.loads(file.read_text()))[0] == 0


@pytest.mark.parametrize(
    ("adapter", "day", "says"),
    [("nonsense", "2026-01-01", "EUI"), ("70b3d57ed0000001", "yesterday", "yesterday"),
     ("70b3d57ed0000001", "2026-01-01", "No signature")],
)  # fmt: skip
def test_the_command_says_what_is_wrong(db: None, adapter: str, day: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("verify_day", adapter, day)


def test_the_command_fails_for_a_day_that_is_not_proven(portal: Portal, signer: Signer) -> None:
    portal.hear(signer, *signer.live_a_day()[1:])
    portal.hear_uplinks(signer, signer.uplinks())
    with pytest.raises(CommandError, match="not proven"):
        call_command("verify_day", signer.device.row.dev_eui, str(portal.row(signer).day), stdout=StringIO())
