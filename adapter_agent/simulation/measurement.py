"""What a meter measures at one instant, by name and in thousandths of its unit."""

from functools import lru_cache
from typing import Final

from adapter_agent.simulation.load import Load
from adapter_agent.simulation.noise import drift, uniform

_SPANS: Final = {"day": 1, "week": 7, "month": 30, "year": 365}
_ANGLES: Final = {"angle_u2": 120, "angle_u3": 240}
_POWER_FACTOR: Final = 0.97


class Mains:
    """The supply of one house: load, voltages, currents, angles and frequency as pure functions of Unix time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._seed = load.seed
        self._counted = lru_cache(maxsize=64)(self._count)

    def number(self, name: str, unix: float) -> int:
        """The quantity `name` (see shapes) in thousandths of Wh, W, V, A, Hz or degree. KeyError for an unknown one."""
        match name.split("_"):
            case ["import"]:
                return self._load.imported(unix)
            case ["import", "1" | "2" as tariff]:
                return self._load.imported(unix, int(tariff))
            case ["export"]:
                return self._load.exported(unix)
            case ["import" | "export" as way, span]:
                return self._over(way, span, unix)
            case ["power"]:
                return self._load.power(unix)
            case ["power", "absolute"]:
                return abs(self._load.power(unix))
            case ["power", phase]:
                return self._phase_power(int(phase[1]), unix)
            case ["voltage", phase]:
                return self._voltage(int(phase[1]), unix)
            case ["current", phase]:
                number = int(phase[1])
                apparent = abs(self._phase_power(number, unix)) / _POWER_FACTOR
                return int(1000 * apparent / self._voltage(number, unix))
            case ["angle", between]:
                return self._angle(between, unix)
            case ["frequency"]:
                return 50_000 + int(12 * drift(0, unix, 10.0, "frequency"))
        raise KeyError(name)

    def feeding(self, unix: float) -> bool:
        """Whether energy flows out."""
        return self._load.power(unix) < 0

    def _over(self, way: str, span: str, unix: float) -> int:
        today = int(unix) // 86400
        if span == "ever":
            return self._counted(way, today)
        return self._counted(way, today) - self._counted(way, today - _SPANS[span])

    def _count(self, way: str, day: int) -> int:
        midnight = day * 86400
        return self._load.imported(midnight) if way == "import" else self._load.exported(midnight)

    def _phase_power(self, phase: int, unix: float) -> int:
        quarter = int(unix) // 900
        shares = [0.2 + uniform(self._seed, "share", each, quarter) for each in (1, 2, 3)]
        power = self._load.power(unix)
        first, second = (int(power * share / sum(shares)) for share in shares[:2])
        return (first, second, power - first - second)[phase - 1]

    def _voltage(self, phase: int, unix: float) -> int:
        sag = self._load.power(unix) * 2e-4
        return int(231_500 + 1500 * drift(self._seed, unix, 120.0, "voltage", phase) - sag)

    def _angle(self, between: str, unix: float) -> int:
        fixed = _ANGLES.get(f"angle_{between}")
        if fixed is not None:
            return fixed * 1000
        number = int(between[1])
        lag = int(14 * abs(drift(self._seed, unix, 60.0, "lag", number)))
        return (120 * (number - 1) - lag) % 360 * 1000
