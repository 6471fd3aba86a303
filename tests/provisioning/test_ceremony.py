"""The key ceremony: two people, a protocol, a key that works, and a rehearsal that leaves nothing behind."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from provisioning.keys.ceremony import making
from provisioning.keys.ceremony.answers import Answers, asked, example
from provisioning.keys.ceremony.protocol import markdown, pdf
from provisioning.keys.ceremony.record import Record
from provisioning.keys.kek import FileKek
from provisioning.keys.providers.hardware import KekPlace, Pkcs11Kek, holds
from tests.support.softhsm import SoftToken, soft_token

ANSWERS: dict[str, Any] = {
    "installation": "Stadtwerke Lindenhof",
    "purpose": "key-encryption key of 2027",
    "place": "Berlin, room 4",
    "leader": {"name": "Änne Groß", "role": "key custodian"},
    "witness": {"name": "Jo | Day", "role": "auditor"},
    "provider": "file",
    "entropy": "operating system (getrandom)",
    "custody": [{"item": "copy of the file", "holder": "Änne Groß", "place": "safe 2", "envelope": "0042"}],
}


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> SoftToken:
    made = soft_token(tmp_path / "hsm", f"token of {tmp_path.name}"[:32])
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    settings.KEK_PROVIDER, settings.PKCS11 = "pkcs11", made.settings
    return made


def written(folder: Path, **changed: Any) -> Path:
    path = folder / "answers.json"
    path.write_text(json.dumps({**ANSWERS, **changed}))
    return path


def held(*arguments: object) -> str:
    out = io.StringIO()
    call_command("key_ceremony", *map(str, arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_it_makes_a_key_that_works_and_a_protocol_that_names_it(tmp_path: Path, answers: Path) -> None:
    said = held("--out", tmp_path / "out", "--answers", answers, "--kek-out", tmp_path / "kek")

    made = FileKek(tmp_path / "kek")
    protocol = (tmp_path / "out" / "protocol.md").read_text()
    assert protocol in said
    for fact in (
        made.kek_id,
        made.check_value,
        "Änne Groß",
        "Jo \\| Day",
        "safe 2",
        "0042",
        "key-encryption key of 2027",
    ):
        assert fact in protocol
    assert "TEST" not in protocol
    assert (tmp_path / "kek.pub").exists()


def test_the_protocol_on_paper_has_the_same_facts_and_places_to_sign(tmp_path: Path, answers: Path) -> None:
    held("--out", tmp_path / "out", "--answers", answers, "--kek-out", tmp_path / "kek")
    paper = (tmp_path / "out" / "protocol.pdf").read_bytes()
    assert paper.startswith(b"%PDF-")
    for fact in (FileKek(tmp_path / "kek").check_value, "0042", "_" * 20, "auditor"):
        assert fact.encode() in paper


def test_no_file_of_it_holds_the_key(tmp_path: Path, answers: Path) -> None:
    said = held("--out", tmp_path / "out", "--answers", answers, "--kek-out", tmp_path / "kek")
    key = (tmp_path / "kek").read_bytes()
    for content in (said.encode(), *(path.read_bytes() for path in (tmp_path / "out").iterdir())):
        assert key not in content
        assert key.hex().encode() not in content


def test_a_rehearsal_runs_by_itself_and_leaves_no_key(tmp_path: Path, settings: Any) -> None:
    before = Path(settings.KEK_FILE).read_bytes()
    said = held("--dry-run", "--out", tmp_path / "out")

    assert "(TEST: a rehearsal" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "ceremony.json",
        "protocol.md",
        "protocol.pdf",
    ]
    assert b"(TEST)" in (tmp_path / "out" / "protocol.pdf").read_bytes()
    assert Path(settings.KEK_FILE).read_bytes() == before
    kek_id = json.loads((tmp_path / "out" / "ceremony.json").read_bytes())["kek_id"]
    assert not Path(json.loads((tmp_path / "out" / "ceremony.json").read_bytes())["public_file"]).exists()
    assert kek_id != FileKek(Path(settings.KEK_FILE)).kek_id


def test_in_a_token_it_makes_the_key_there(tmp_path: Path, token: SoftToken) -> None:
    said = held("--out", tmp_path / "out", "--answers", written(tmp_path, provider="pkcs11"))
    made = Pkcs11Kek(KekPlace.of(token.settings))
    assert made.kek_id in said
    assert made.check_value in said
    assert len(made.intake_private()) == 32
    with pytest.raises(CommandError, match="makes a new key"):
        held("--out", tmp_path / "second", "--answers", written(tmp_path, provider="pkcs11"))


def test_a_rehearsal_leaves_nothing_in_the_token_even_after_an_interrupted_one(
    tmp_path: Path, token: SoftToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = KekPlace.of({**token.settings, "label": "TEST mspan-kek"})
    assert "pkcs11:" in held("--dry-run", "--out", tmp_path / "out")
    assert not holds(place)
    assert not holds(KekPlace.of(token.settings))

    made = making.InToken({**token.settings, "label": "TEST mspan-kek", "intake_file": str(tmp_path / "left")})
    made.make(again=False)
    assert holds(place)
    held("--dry-run", "--out", tmp_path / "another")
    assert not holds(place)


@pytest.mark.parametrize("writes", range(4))
def test_interrupted_it_goes_on_with_the_same_answers_and_makes_one_key(
    tmp_path: Path, answers: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """The process ends right after its record was written for the first, second, … time."""

    class PowerCut(BaseException):
        pass

    whole, count = Record.save, 0

    def save(self: Record, path: Path) -> None:
        nonlocal count
        whole(self, path)
        count += 1
        if count > writes:
            raise PowerCut

    arguments = ["--out", tmp_path / "out", "--kek-out", tmp_path / "kek"]
    monkeypatch.setattr(Record, "save", save)
    with pytest.raises(PowerCut):
        held(*arguments, "--answers", answers)
    monkeypatch.setattr(Record, "save", whole)
    key = (tmp_path / "kek").read_bytes() if (tmp_path / "kek").exists() else None

    said = held(*arguments)
    assert FileKek(tmp_path / "kek").check_value in said
    assert key in (None, (tmp_path / "kek").read_bytes())
    assert said.count("The key was made as") == 1


def test_a_crash_between_the_key_and_its_record_or_its_public_half_loses_neither(
    tmp_path: Path, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("provisioning.keys.providers.file.write_public", crash)
    arguments = ["--out", tmp_path / "out", "--kek-out", tmp_path / "kek"]
    with pytest.raises(KeyboardInterrupt):
        held(*arguments, "--answers", answers)
    key = (tmp_path / "kek").read_bytes()
    assert not (tmp_path / "kek.pub").exists()

    held(*arguments)
    assert (tmp_path / "kek").read_bytes() == key
    assert (tmp_path / "kek.pub").exists()


def test_a_key_that_was_there_before_is_never_taken_for_the_new_one(tmp_path: Path, answers: Path) -> None:
    (tmp_path / "kek").write_bytes(bytes(32))
    with pytest.raises(CommandError, match="makes a new key"):
        held("--out", tmp_path / "out", "--answers", answers, "--kek-out", tmp_path / "kek")


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"witness": {"name": " änne groß", "role": "auditor"}}, "two people"),
        ({"provider": "cloud"}, "file or pkcs11"),
        ({"custody": []}, "custody"),
        ({"custody": [ANSWERS["custody"][0]] * 21}, "custody"),
        ({"purpose": ""}, "purpose"),
        ({"place": "x" * 201}, "place"),
        ({"pin": "1234"}, "pin"),
    ],
)
def test_answers_that_cannot_be_used_are_named(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        held("--out", tmp_path / "out", "--answers", written(tmp_path, **changed), "--kek-out", tmp_path / "kek")
    assert not (tmp_path / "kek").exists()


def test_nobody_at_the_terminal_a_folder_that_counts_and_a_foreign_record_are_named(
    tmp_path: Path, answers: Path
) -> None:
    with pytest.raises(CommandError, match="--answers"):
        held("--out", tmp_path / "a")
    with pytest.raises(CommandError, match="--out"):
        held("--answers", answers)
    held("--dry-run", "--out", tmp_path / "b")
    with pytest.raises(CommandError, match="rehearsal"):
        held("--out", tmp_path / "b", "--answers", answers)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "ceremony.json").write_text("[]")
    with pytest.raises(CommandError, match="no record"):
        held("--out", tmp_path / "c", "--answers", answers)


def test_asked_one_by_one_with_proposals() -> None:
    questions: list[str] = []

    def ask(question: str, proposal: str) -> str:
        questions.append(question)
        return "Jo" if question == "Witness, name" else proposal

    found = asked(ask, example("file", test=False))
    assert isinstance(found, Answers)
    assert found.witness.name == "Jo"
    assert len(found.custody) == 1
    assert questions[0] == "Installation"
    assert questions[-1] == "Remarks"


def test_letters_that_the_paper_does_not_know_do_not_stop_it(tmp_path: Path, answers: Path) -> None:
    record = Record(test=True, answers=example("file", test=True), kek_id="file:0", check_value="<&>")
    assert record.answers is not None
    assert b"%PDF" in pdf(record)
    assert "<&>" in markdown(record)
