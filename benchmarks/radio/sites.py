"""The three sites: how far the meters are, what data rate and power they settle on, and who else is on the air."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from adapter_agent.simulation.physics import site_loss_db
from benchmarks.radio.air import FASTEST, SENSITIVITY_DBM, SPREADING_FACTORS, Floats, Frames, Integers
from meterwire.lorawan.airtime import lora_airtime_s

CHANNELS: Final = 8
LORAWAN_OVERHEAD: Final = 13  # octets around FRMPayload
SHADOWING_DB: Final = 6.0
BUILDING_DB: Final = (8.0, 5.0)  # mean and spread of the loss into a building
FADING_DB: Final = 3.0  # from frame to frame
MARGIN_DB: Final = 10.0  # that ADR keeps
MAX_POWER_DBM: Final = 14.0
ANTENNA_GAIN_DB: Final = 2.0
POWER_STEP_DB: Final = 2.0
POWER_RANGE_DB: Final = 12.0
NEAREST_M: Final = 5.0

FOREIGN_PAYLOAD: Final = 18
FOREIGN_SHARES: Final = (0.35, 0.20, 0.15, 0.12, 0.09, 0.09)  # of their frames, SF7 to SF12
FOREIGN_RADIUS: Final = 1.3  # of the site's


@dataclass(frozen=True, slots=True)
class Site:
    """Meters spread evenly over a disc of `radius_m` around one concentrator."""

    name: str
    radius_m: float


DENSE: Final = Site("dense", 500.0)  # an apartment block and its neighbours: nearly all at SF7
MIXED: Final = Site("mixed", 1500.0)  # a district
FAR: Final = Site("far", 2500.0)  # up to the edge of what SF12 reaches
SITES: Final = (DENSE, MIXED, FAR)


@dataclass(frozen=True)
class Meters:
    """Per meter: its spreading factor 7 to 12 and the mean power in dBm with which the concentrator gets it."""

    spreading_factor: Integers
    power_dbm: Floats

    def __len__(self) -> int:
        return len(self.power_dbm)

    def first(self, count: int) -> "Meters":
        return Meters(self.spreading_factor[:count], self.power_dbm[:count])


def deploy(site: Site, count: int, rng: np.random.Generator, *, radius: float = 1.0) -> Meters:
    """`count` meters that the concentrator reaches, after ADR: the fastest rate with 10 dB to spare, then less power.

    `radius` stretches the site. Nobody is placed where SF12 at full power would not do.
    """
    spreading_factors: list[Integers] = []
    powers: list[Floats] = []
    missing = count
    while missing > 0:
        tries = max(64, int(missing * 1.3))
        distance = NEAREST_M + radius * site.radius_m * np.sqrt(rng.random(tries))
        loss = np.array([site_loss_db(metres) for metres in distance])
        loss += rng.normal(0, SHADOWING_DB, tries) + np.abs(rng.normal(*BUILDING_DB, tries))
        power = MAX_POWER_DBM + ANTENNA_GAIN_DB - loss
        enough = power[:, None] >= SENSITIVITY_DBM + MARGIN_DB
        reached = enough.any(axis=1)
        fastest = enough.argmax(axis=1)
        spare = power - SENSITIVITY_DBM[fastest] - MARGIN_DB
        power -= np.clip(np.floor(spare / POWER_STEP_DB) * POWER_STEP_DB, 0, POWER_RANGE_DB)
        spreading_factors.append(fastest[reached] + FASTEST)
        powers.append(power[reached])
        missing -= int(reached.sum())
    return Meters(np.concatenate(spreading_factors)[:count], np.concatenate(powers)[:count])


def airtimes(size: int) -> Floats:
    """Seconds on the air of an uplink with `size` octets of FRMPayload, SF7 first."""
    return np.array([lora_airtime_s(LORAWAN_OVERHEAD + size, sf) for sf in SPREADING_FACTORS])


def faded(power_dbm: Floats, rng: np.random.Generator) -> Floats:
    return power_dbm + rng.normal(0, FADING_DB, len(power_dbm))


def foreign(site: Site, erlang: float, seconds: float, rng: np.random.Generator) -> Frames:
    """Other people's frames: `erlang` of them on the air per channel on average, unslotted, for `seconds`."""
    airtime = airtimes(FOREIGN_PAYLOAD)
    count = round(erlang * CHANNELS * seconds / float(np.dot(FOREIGN_SHARES, airtime)))
    kind = rng.choice(len(airtime), count, p=FOREIGN_SHARES)
    start = rng.random(count) * seconds
    power = deploy(site, count, rng, radius=FOREIGN_RADIUS).power_dbm
    return Frames(start, start + airtime[kind], rng.integers(0, CHANNELS, count), kind + FASTEST, faded(power, rng))
