"""Identifiers of the German energy market: locations (MaLo, MeLo, NeLo), resources (SR, TR) and partners (MP)."""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from meterwire.errors import IdentifierError


@dataclass(frozen=True, slots=True, order=True)
class MarketId:
    """A checked market identifier; `str()` gives its canonical text. Build it with `parse`."""

    text: str

    name: ClassVar[str]
    rule: ClassVar[str]
    pattern: ClassVar[re.Pattern[str]]
    checked: ClassVar[bool] = True

    def __post_init__(self) -> None:
        shown = self.text[:40]
        if not self.pattern.fullmatch(self.text):
            raise IdentifierError(f"'{shown}' is no {self.name}: {self.rule}")
        if self.checked and check_digit(self.text[:-1]) != int(self.text[-1]):
            raise IdentifierError(
                f"the check digit of {self.name} {shown} is wrong: {self.text[:-1]} takes"
                f" {check_digit(self.text[:-1])}; compare it with the document"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the identifier; blanks do not matter. IdentifierError names the rule it breaks."""
        return cls(text[:80].replace(" ", ""))

    def __str__(self) -> str:
        return self.text


class MaloId(MarketId):
    """Market location, 11 digits with a check digit."""

    __slots__ = ()
    name, rule = "MaLo-ID", "11 digits, the first from 1 to 9"
    pattern = re.compile("[1-9][0-9]{10}")

    @property
    def issuer(self) -> str:
        """DVGW (gas) for 1 to 3, BDEW (electricity) for 4 to 9."""
        return "DVGW" if self.text[0] in "123" else "BDEW"


class MeloId(MarketId):
    """Metering location of VDE-AR-N 4400, 33 characters without a check digit."""

    __slots__ = ()
    name, rule = "MeLo-ID", "33 characters: country, 6 and 5 digits, then 20 capital letters or digits"
    pattern = re.compile("[A-Z]{2}[0-9]{11}[A-Z0-9]{20}")
    checked = False

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """(country 2, network operator 6, postcode 5, metering point 20)."""
        return self.text[:2], self.text[2:8], self.text[8:13], self.text[13:]


class NeloId(MarketId):
    """Network location: E and ten characters, the last a check digit."""

    __slots__ = ()
    name, rule = "NeLo-ID", "E, 9 capital letters or digits, check digit"
    pattern = re.compile("E[A-Z0-9]{9}[0-9]")


class SrId(MarketId):
    """Controllable resource: C and ten characters, the last a check digit."""

    __slots__ = ()
    name, rule = "SR-ID", "C, 9 capital letters or digits, check digit"
    pattern = re.compile("C[A-Z0-9]{9}[0-9]")


class TrId(MarketId):
    """Technical resource: D and ten characters, the last a check digit."""

    __slots__ = ()
    name, rule = "TR-ID", "D, 9 capital letters or digits, check digit"
    pattern = re.compile("D[A-Z0-9]{9}[0-9]")


class MpId(MarketId):
    """Market partner: 13 digits beginning with 99 (BDEW) or 98 (DVGW), the last a check digit."""

    __slots__ = ()
    name, rule = "MP-ID", "13 digits that begin with 99 or 98"
    pattern = re.compile("9[89][0-9]{11}")

    @property
    def issuer(self) -> str:
        """BDEW for 99, DVGW for 98."""
        return "BDEW" if self.text[1] == "9" else "DVGW"


def check_digit(text: str) -> int:
    """The digit that follows `text`.

    Odd positions count once, even ones twice, a letter with its ASCII code; the digit fills up to the next ten.
    """
    values = [ord(character) if character > "9" else int(character) for character in text]
    return -(sum(values[::2]) + 2 * sum(values[1::2])) % 10
