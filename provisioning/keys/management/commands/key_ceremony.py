"""`manage.py key_ceremony`: guides two people through making the key-encryption key, and prints the protocol."""

import secrets
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from meterwire.errors import MeterspanError
from provisioning.errors import Conflict
from provisioning.keys.ceremony import answers as stated
from provisioning.keys.ceremony.making import InFile, InToken, Maker, rehearsal
from provisioning.keys.ceremony.protocol import TEST_LABEL, markdown, pdf
from provisioning.keys.ceremony.record import Record
from provisioning.keys.kek import FILE, KekProvider

RECORD, MARKDOWN, PDF = "ceremony.json", "protocol.md", "protocol.pdf"
MAX_ANSWERS: Final = 1 << 16
_PROOF: Final = b"mspan key ceremony v1"


class Command(BaseCommand):
    help = (
        "Make the key-encryption key before two people, with a protocol to sign. Interrupted, it goes on where it was."
        " --dry-run rehearses it with a key that is thrown away."
    )
    requires_system_checks: list[str] = []  # they complain about the very key that is about to be made

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="a rehearsal; everything is labelled TEST")
        parser.add_argument(
            "--out", type=Path, metavar="DIR", help="folder of record and protocol; needed when it counts"
        )
        parser.add_argument("--answers", type=Path, metavar="FILE", help="answers as JSON instead of questions")
        parser.add_argument(
            "--kek-out", type=Path, metavar="FILE", help="provider file: the key; default MSPAN_KEK_FILE"
        )

    def handle(self, *, dry_run: bool, out: Path | None, answers: Path | None, kek_out: Path | None, **_: Any) -> None:
        if out is None and not dry_run:
            raise CommandError("Name a folder for record and protocol with --out; it is filed with the signed paper.")
        folder = out or Path(tempfile.mkdtemp(prefix="key-ceremony-test-"))
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            record = Record.load(folder / RECORD, test=dry_run)
            self._say(record, TEST_LABEL if dry_run else "This makes the key on which all others depend.")
            if record.answers is None:
                record.answers = self._answers(answers, dry_run)
                record.did("stated", timezone.now(), "Purpose, provider and custody were stated")
                record.save(folder / RECORD)
            with _maker(record, kek_out) as maker:
                self._make(record, maker, folder / RECORD)
            record.did("signed", timezone.now(), "The protocol was written, for both people to sign")
            record.save(folder / RECORD)
            (folder / MARKDOWN).write_text(markdown(record), encoding="utf-8")
            (folder / PDF).write_bytes(pdf(record))
        except MeterspanError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be used: {error.strerror}") from None
        self.stdout.write(markdown(record))
        self.stdout.write(f"Print {folder / PDF}, sign it, and file it with {folder / RECORD}.")

    def _answers(self, path: Path | None, dry_run: bool) -> stated.Answers:
        if path is not None:
            with path.open("rb") as file:
                return stated.read(file.read(MAX_ANSWERS))
        proposals = stated.example(settings.KEK_PROVIDER, test=dry_run)
        if not sys.stdin.isatty():
            if dry_run:
                return stated.checked(proposals)
            raise CommandError("There is nobody at the terminal to ask; hand the answers in with --answers FILE.")
        return stated.asked(self._ask, proposals)

    def _ask(self, question: str, proposal: str) -> str:
        try:
            said = input(f"{question} [{proposal}]: ").strip()
        except EOFError:
            raise Conflict("The ceremony was ended; run the command again to go on.") from None
        return said or proposal

    def _make(self, record: Record, maker: Maker, file: Path) -> None:
        """The record says that the key is being made before it is: a crash in between leaves no key unexplained."""
        if record.kek_id:
            return
        again, record.making = record.making, True
        record.save(file)
        kek, public = maker.make(again=again)
        _prove(kek)
        record.kek_id, record.check_value, record.public_file = kek.kek_id, kek.check_value, str(public)
        now = timezone.now()
        record.did("made", now, f"The key was made as {kek.kek_id}; what it wrapped, it opened")
        record.did("compared", now, f"The check value {kek.check_value} was shown, for both people to read")
        record.save(file)
        self._say(record, f"Made {kek.kek_id}. Check value, to be read by both: {kek.check_value}")

    def _say(self, record: Record, words: str) -> None:
        self.stderr.write(f"TEST {words}" if record.test and not words.startswith("TEST") else words, str)


def _maker(record: Record, kek_out: Path | None) -> AbstractContextManager[Maker]:
    assert record.answers is not None
    provider = record.answers.provider
    if record.test:
        return rehearsal(provider, settings.PKCS11)
    if provider != FILE:
        return nullcontext(InToken(settings.PKCS11))
    path = kek_out or (Path(settings.KEK_FILE) if settings.KEK_FILE else None)
    if path is None:
        raise Conflict("Name the key's file with --kek-out or MSPAN_KEK_FILE.")
    return nullcontext(InFile(path))


def _prove(kek: KekProvider) -> None:
    secret = secrets.token_bytes(32)
    if kek.unwrap(kek.wrap(secret, _PROOF), _PROOF) != secret:
        raise Conflict("The key does not open what it has wrapped; the ceremony must not go on with it.")
