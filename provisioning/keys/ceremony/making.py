"""The moment of a ceremony in which the key comes into being, in a file or in a token."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provisioning.errors import Conflict
from provisioning.keys.kek import FILE, KekProvider
from provisioning.keys.providers import file
from provisioning.keys.providers.public import write_public


class Maker(Protocol):
    """Makes the key; `again` says that an interrupted run may have made it already."""

    def make(self, *, again: bool) -> tuple[KekProvider, Path]:
        """The key and its .pub file. Conflict when there was a key before the ceremony began."""


@dataclass(frozen=True)
class InFile:
    """The provider `file`."""

    path: Path

    def make(self, *, again: bool) -> tuple[KekProvider, Path]:
        if self.path.exists():
            if not again:
                raise Conflict(
                    f"{self.path} exists: a ceremony makes a new key. Name a new file, and see kek_rotate for the rest."
                )
            kek = file.FileKek(self.path)
            public = self.path.with_name(self.path.name + ".pub")
            return kek, public if public.exists() else write_public(self.path, kek)
        public = file.create(self.path)
        return file.FileKek(self.path), public


@dataclass(frozen=True)
class InToken:
    """The provider `pkcs11`; `named` is the setting PKCS11."""

    named: Mapping[str, str]

    def make(self, *, again: bool) -> tuple[KekProvider, Path]:
        from provisioning.keys.providers.hardware import KekPlace, Pkcs11Kek, create, holds

        place = KekPlace.of(self.named)
        intake = Path(place.intake_file)
        public = intake.with_name(intake.name + ".pub")
        if not again and (intake.exists() or holds(place)):
            raise Conflict(
                f"The token holds a key {place.label} already, or {intake} exists: a ceremony makes a new key."
                " Set a new MSPAN_PKCS11_LABEL and _INTAKE_FILE, and see kek_rotate for the rest."
            )
        if not intake.exists():
            public = create(place)
        kek = Pkcs11Kek(place)
        return kek, public if public.exists() else write_public(intake, kek)


@contextmanager
def rehearsal(provider: str, named: Mapping[str, str]) -> Iterator[Maker]:
    """A maker whose key goes with the block: in a folder of its own, or under a label of its own in the token of the
    settings `named`."""
    with tempfile.TemporaryDirectory(prefix="key-ceremony-test-") as folder:
        if provider == FILE:
            yield InFile(Path(folder) / "kek")
            return
        from provisioning.keys.providers.hardware import KekPlace, destroy

        thrown_away = {**named, "label": f"TEST {named['label']}"[:32], "intake_file": str(Path(folder) / "intake")}
        place = KekPlace.of(thrown_away)
        destroy(place)  # what an interrupted rehearsal has left
        try:
            yield InToken(thrown_away)
        finally:
            destroy(place)
