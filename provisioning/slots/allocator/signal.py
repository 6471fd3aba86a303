"""How a device is heard, and how much stronger than what disturbs it a frame must be (design 7, performance 1.3)."""

from math import log10
from typing import Final, NamedTuple

from meterwire.errors import ValueOutOfRange
from meterwire.lorawan.eu868 import EU868

SPREADING_FACTORS: Final = range(7, 13)
LEVELS_DBM: Final = (-150, 20)
DEFAULT_GUARD_MS: Final = 20
NOISE_FLOOR_DBM: Final = -174 + 10 * log10(125_000) + 3.5  # SX1302 with SX1250
TYPICAL_MARGIN_DB: Final = 12  # over what a spreading factor needs: ADR keeps ten and lowers the power in steps

# Signal over interference needed in dB, by the wanted spreading factor and the disturbing one (Croce et al. 2018).
REJECTION_DB: Final = (
    (6, -8, -9, -9, -9, -9),
    (-11, 6, -11, -12, -13, -13),
    (-15, -13, 6, -13, -14, -15),
    (-19, -18, -17, 6, -17, -18),
    (-22, -22, -21, -20, 6, -20),
    (-25, -25, -25, -24, -23, 6),
)
NEEDED: Final = tuple(tuple(10 ** (db / 10) for db in row) for row in REJECTION_DB)


class Signal(NamedTuple):
    """How a device's frames arrive where it is served: spreading factor 7 to 12, mean level in dBm, guard in its slot.

    A level of None is not known: then what is typical for the spreading factor counts.
    """

    spreading_factor: int = SPREADING_FACTORS[0]
    level_dbm: float | None = None
    guard_ms: int = DEFAULT_GUARD_MS

    def checked(self) -> "Signal":
        """With its level in whole dBm, that many may share one. ValueOutOfRange."""
        if self.spreading_factor not in SPREADING_FACTORS:
            raise ValueOutOfRange(f"spreading factors are 7 to 12, not {self.spreading_factor}")
        if self.guard_ms < 0:
            raise ValueOutOfRange(f"a guard is 0 ms or more, not {self.guard_ms}")
        if self.level_dbm is None:
            return self
        if not LEVELS_DBM[0] <= self.level_dbm <= LEVELS_DBM[1]:
            raise ValueOutOfRange(f"a level is {LEVELS_DBM[0]} to {LEVELS_DBM[1]} dBm, not {self.level_dbm}")
        return self._replace(level_dbm=round(self.level_dbm))

    @property
    def kind(self) -> int:
        """Its row and column in NEEDED."""
        return self.spreading_factor - SPREADING_FACTORS[0]

    @property
    def milliwatts(self) -> float:
        return typical_milliwatts(self.kind) if self.level_dbm is None else float(10 ** (self.level_dbm / 10))


def typical_milliwatts(kind: int) -> float:
    """What a frame of this kind arrives with when nothing is known of it, as where it is heard but not served."""
    required = EU868.required_snr_db[kind + SPREADING_FACTORS[0]]
    return float(10 ** ((NOISE_FLOOR_DBM + required + TYPICAL_MARGIN_DB) / 10))
