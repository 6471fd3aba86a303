"""How far a ceremony is, in a file that survives its end at any moment; it holds no secret."""

import os
from datetime import datetime
from pathlib import Path

import msgspec

from provisioning.errors import Conflict
from provisioning.keys.ceremony.answers import Answers


class Done(msgspec.Struct, frozen=True):
    """A step that was finished."""

    step: str
    at: datetime
    words: str


class Record(msgspec.Struct):
    """`kek_id` is empty until the key is made; `making` says that it may have been."""

    test: bool
    answers: Answers | None = None
    making: bool = False
    kek_id: str = ""
    check_value: str = ""
    public_file: str = ""
    steps: list[Done] = []

    @classmethod
    def load(cls, path: Path, *, test: bool) -> "Record":
        """Where an earlier run ended, else a new one. Conflict for a file that is none, or a rehearsal's."""
        try:
            found = msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            return cls(test)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Conflict(f"{path} is no record of a key ceremony; choose another folder.") from None
        if found.test is not test:
            raise Conflict(f"{path} is of a {'rehearsal' if found.test else 'real ceremony'}; choose another folder.")
        return found

    def save(self, path: Path) -> None:
        """Replaces the file as a whole."""
        part = path.with_name(path.name + ".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)

    def did(self, step: str, at: datetime, words: str) -> None:
        """Note a step, once."""
        if all(done.step != step for done in self.steps):
            self.steps.append(Done(step, at, words))
