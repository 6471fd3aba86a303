"""Energy Identification Codes (EIC) of the European electricity market."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from meterwire.errors import IdentifierError

OBJECT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "A": "substation",
        "T": "tie line",
        "V": "location",
        "W": "resource",
        "X": "party",
        "Y": "area",
        "Z": "measuring point",
    }
)
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"
_EIC = re.compile("[0-9A-Z]{2}[A-Z][0-9A-Z-]{12}[0-9A-Z]")


@dataclass(frozen=True, slots=True, order=True)
class Eic:
    """16 characters: issuing office 2, object type 1, name 12, check character. `str()` gives the canonical text."""

    text: str

    def __post_init__(self) -> None:
        if not _EIC.fullmatch(self.text):
            raise IdentifierError(f"'{self.text[:32]}' is no EIC: 16 characters of A to Z, 0 to 9 and -")
        if check_character(self.text[:15]) != self.text[15]:
            raise IdentifierError(f"the check character of EIC {self.text} is wrong; compare it with the document")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an EIC; blanks around it do not matter. IdentifierError names the rule it breaks."""
        return cls(text[:64].strip())

    @property
    def office(self) -> str:
        """The issuing office, two characters."""
        return self.text[:2]

    @property
    def object_type(self) -> str | None:
        """What is named (a value of OBJECT_TYPES), or None for a letter that is not known here."""
        return OBJECT_TYPES.get(self.text[2])

    def __str__(self) -> str:
        return self.text


def check_character(body: str) -> str:
    """The check character of the first 15 characters: weights 16 to 2, modulo 37."""
    total = sum(_ALPHABET.index(character) * (16 - place) for place, character in enumerate(body))
    return _ALPHABET[36 - (total - 1) % 37]
