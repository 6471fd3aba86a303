"""LoRa radio physics as pure functions: path loss, link budget, sensitivity, capture. Powers in dBm, ratios in dB."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log10
from types import MappingProxyType
from typing import Final

THERMAL_NOISE_DBM_HZ: Final = -174.0
GATEWAY_NOISE_FIGURE_DB: Final = 3.5  # SX1302 with SX1250: -127 dBm at SF7, -139.5 dBm at SF12
DEVICE_NOISE_FIGURE_DB: Final = 6.0
CAPTURE_DB: Final = 6.0  # against the same spreading factor
OTHER_BANDWIDTH_DB: Final = -9.0  # against a chirp of another bandwidth on the same frequency (assumed like SF7/SF9)
MAX_REPORTED_SNR_DB: Final = 13.0  # a demodulator saturates there
SLABS_DB: Final = (0.0, 9.0, 19.0, 24.0)  # through none to three slabs at 900 MHz (ITU-R P.1238)
FURTHER_SLAB_DB: Final = 3.0  # assumed: beyond three, waves go round by the windows and the stairwell
PREAMBLE_SYMBOLS: Final = 8 + 4.25

# SNR needed to demodulate (Semtech SX1261/SX1302 data sheets).
REQUIRED_SNR_DB: Final[Mapping[int, float]] = MappingProxyType(
    {5: -2.5, 6: -5.0, 7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}
)

# Signal to interference needed, wanted SF -> interfering SF 7 to 12 (Croce et al. 2018; 6 dB on the diagonal).
REJECTION_DB: Final[Mapping[int, Mapping[int, float]]] = MappingProxyType(
    {
        wanted: MappingProxyType(dict(zip(range(7, 13), row, strict=True)))
        for wanted, row in {
            7: (CAPTURE_DB, -8, -9, -9, -9, -9),
            8: (-11, CAPTURE_DB, -11, -12, -13, -13),
            9: (-15, -13, CAPTURE_DB, -13, -14, -15),
            10: (-19, -18, -17, CAPTURE_DB, -17, -18),
            11: (-22, -22, -21, -20, CAPTURE_DB, -20),
            12: (-25, -25, -25, -24, -23, CAPTURE_DB),
        }.items()
    }
)
# Engine check against the ALOHA formula: whatever overlaps on the same spreading factor is lost.
NO_CAPTURE: Final[Mapping[int, Mapping[int, float]]] = MappingProxyType(
    {sf: MappingProxyType({**row, sf: 300.0}) for sf, row in REJECTION_DB.items()}
)


@dataclass(frozen=True, slots=True)
class Signal:
    """One transmission as one receiver gets it: from `start` to `end` (seconds), centre in Hz, power in dBm."""

    start: float
    end: float
    frequency_hz: int
    spreading_factor: int
    bandwidth_hz: int
    power_dbm: float

    def overlaps(self, other: "Signal") -> bool:
        """Whether both are on the air at one instant, on spectra that touch."""
        return self.shared_s(other) > 0

    def shared_s(self, other: "Signal") -> float:
        """Seconds for which both are on the air, on spectra that touch."""
        if 2 * abs(self.frequency_hz - other.frequency_hz) >= self.bandwidth_hz + other.bandwidth_hz:
            return 0.0
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))


def noise_floor_dbm(bandwidth_hz: int, noise_figure_db: float) -> float:
    return THERMAL_NOISE_DBM_HZ + 10 * log10(bandwidth_hz) + noise_figure_db


def sensitivity_dbm(spreading_factor: int, bandwidth_hz: int, noise_figure_db: float) -> float:
    """The weakest signal that is demodulated."""
    return noise_floor_dbm(bandwidth_hz, noise_figure_db) + REQUIRED_SNR_DB[spreading_factor]


def symbol_s(spreading_factor: int, bandwidth_hz: int) -> float:
    """Seconds of one chirp."""
    return float(2**spreading_factor / bandwidth_hz)


def preamble_s(spreading_factor: int, bandwidth_hz: int) -> float:
    """Seconds until a demodulator is taken: preamble and sync word."""
    return PREAMBLE_SYMBOLS * symbol_s(spreading_factor, bandwidth_hz)


def indoor_loss_db(distance_m: float, floors: int, frequency_hz: int = 868_000_000) -> float:
    """Path loss inside a building after ITU-R P.1238: distance coefficient 33 and the loss through `floors` slabs."""
    slabs = abs(floors)
    through = SLABS_DB[min(slabs, len(SLABS_DB) - 1)] + FURTHER_SLAB_DB * max(0, slabs - len(SLABS_DB) + 1)
    return 20 * log10(frequency_hz / 1e6) + 33 * log10(max(1.0, distance_m)) + through - 28


def site_loss_db(distance_m: float, shadowing_db: float = 0.0, building_db: float = 0.0) -> float:
    """Path loss across a site: log-distance with exponent 3.76, plus shadowing and the loss into a building."""
    return 7.7 + 37.6 * log10(max(1.0, distance_m)) + shadowing_db + building_db


def survives(
    wanted: Signal, others: Iterable[Signal], rejection: Mapping[int, Mapping[int, float]] = REJECTION_DB
) -> bool:
    """Whether `wanted` is demodulated in spite of `others`.

    All that overlaps it counts with its energy during the overlap, summed per spreading factor, and `rejection` says
    how much more the wanted one's must be: 6 dB against its own spreading factor, far less against the nearly
    orthogonal others (Croce et al. 2018). Equalised over the whole frame, as its interleaver and chirps do it in part:
    optimistic for a short, strong burst.
    """
    interference: dict[tuple[int, int], float] = {}
    for other in others:
        shared = wanted.shared_s(other)
        if shared > 0:
            kind = (other.spreading_factor, other.bandwidth_hz)
            interference[kind] = interference.get(kind, 0.0) + milliwatts(other.power_dbm) * shared
    own = milliwatts(wanted.power_dbm) * (wanted.end - wanted.start)
    return all(own >= energy * _ratio(_needed(wanted, *kind, rejection)) for kind, energy in interference.items())


def reported(power_dbm: float, bandwidth_hz: int, noise_figure_db: float) -> tuple[float, float]:
    """What a receiver reports of a signal: (RSSI of the channel, noise included; SNR), in steps of 0.1 and 0.25 dB."""
    floor = noise_floor_dbm(bandwidth_hz, noise_figure_db)
    rssi = 10 * log10(milliwatts(power_dbm) + milliwatts(floor))
    snr = min(power_dbm - floor, MAX_REPORTED_SNR_DB)
    return round(rssi, 1), round(snr * 4) / 4


def milliwatts(dbm: float) -> float:
    return float(10 ** (dbm / 10))


def _ratio(db: float) -> float:
    return float(10 ** (db / 10)) * (1 - 1e-9)  # exactly 6 dB stronger is enough, whatever the rounding


def _needed(wanted: Signal, sf: int, bandwidth_hz: int, rejection: Mapping[int, Mapping[int, float]]) -> float:
    if wanted.bandwidth_hz != bandwidth_hz:
        return OTHER_BANDWIDTH_DB
    return rejection.get(wanted.spreading_factor, {}).get(sf, OTHER_BANDWIDTH_DB)
