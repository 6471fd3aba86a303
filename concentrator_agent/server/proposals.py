"""Which data rate a device with a slot could have: only proposed, for the slot is cut to the rate that it has. Pure."""

from collections.abc import Sequence
from typing import Final

from meterwire.lorawan.plan import Region
from meterwire.slots import MAX_DATA_RATE

FEWEST: Final = 20  # frames to judge by
MARGIN_DB: Final = 10.0  # over the least SNR, for fading
FALL_DB: Final = 5.0  # less than this is too little
STEP_DB: Final = 3.0  # over what a faster rate needs, so that it is not proposed back and forth


def propose(plan: Region, data_rate: int, snrs: Sequence[float]) -> tuple[int, float] | None:
    """(another data rate, dB over the least SNR at the present one), or None when the present one is right.

    `snrs`: the best SNR of each of the last frames, dB. A fifth of them may be worse than what is judged by: losses by
    fading belong to the margin, a wall that was built does not.
    """
    if len(snrs) < FEWEST:
        return None
    judged = sorted(snrs)[len(snrs) // 5]
    margin = judged - _least(plan, data_rate)
    if margin < FALL_DB and data_rate > 0:
        return data_rate - 1, round(margin, 1)
    better = [
        faster
        for faster in range(data_rate + 1, MAX_DATA_RATE + 1)
        if judged - _least(plan, faster) >= MARGIN_DB + STEP_DB
    ]
    return (better[-1], round(margin, 1)) if better else None


def _least(plan: Region, data_rate: int) -> float:
    factor = plan.data_rate(data_rate).spreading_factor
    return plan.required_snr_db[factor] if factor is not None else 0.0
