"""Repeatable chance: each number depends only on a seed and on what it is for, so any instant can be asked alone."""

from hashlib import blake2b
from statistics import NormalDist

_BITS = 52
_STANDARD = NormalDist()


def uniform(seed: int, *purpose: int | str) -> float:
    """A number in the open interval (0, 1), always the same for the same seed and purpose."""
    text = "\x1f".join(map(str, (seed, *purpose)))
    number = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> (64 - _BITS)
    return (number + 0.5) / (1 << _BITS)


def normal(seed: int, *purpose: int | str) -> float:
    """A number of the standard normal distribution, always the same for the same seed and purpose."""
    return _STANDARD.inv_cdf(uniform(seed, *purpose))


def drift(seed: int, instant: float, period: float, *purpose: int | str) -> float:
    """A slow standard normal curve over time: one draw per `period` seconds, straight lines between."""
    step, rest = divmod(instant, period)
    here = normal(seed, *purpose, int(step))
    return here + (normal(seed, *purpose, int(step) + 1) - here) * rest / period
