"""Draws docs/images/performance-*: delivery over the number of meters, and how far off adapters send."""

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import clock
from benchmarks.radio.clocks import sending_errors
from benchmarks.radio.delivery import slotted_readings, unslotted_delivery
from benchmarks.radio.figures import BOUND_METERS, FOREIGN_ERLANG, OMS_SIZE, SEED, TRACES
from benchmarks.radio.planning import GUARD_MS, fill
from benchmarks.radio.sites import SITES, Site, deploy
from benchmarks.trust import Pair
from meterwire.slots import Kind

PERIODS: Final = (5, 300)  # fewest and most: small sites are watched longer
FRAMES: Final = 400_000
MOST_DELIVERED: Final = 1 - 1e-5  # more is not told apart with so many frames
STEPS: Final = 15
ADAPTERS: Final = 60  # per place and scheme without a beacon
DAYS: Final = 12
FEWEST: Final = 100
SHARES: Final = np.logspace(0, -5, 200)
# From unslotted to slotted, told apart without colours too.
LOOKS: Final = (("#b3382c", ":"), ("#d08c2b", "-."), ("#4f81a8", "--"), ("#1b6b4a", "-"))

Curve = tuple[str, Sequence[int], Sequence[float]]


def draw(folder: Path) -> None:
    """Write all plots into `folder`, each as PNG and SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    mpl.rcParams.update({"font.size": 9, "svg.hashsalt": "meterspan", "axes.grid": True, "grid.alpha": 0.3})
    _save(_delivery(), folder / "performance-delivery")
    _save(_clocks(), folder / "performance-clocks")


def _delivery() -> Figure:
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axes, site in zip(figure.subplots(1, len(SITES), sharey=True), SITES, strict=True):
        for look, (name, counts, lost) in zip(LOOKS, _curves(site), strict=True):
            _line(axes, counts, lost, name, look)
        axes.set(title=f"{site.name}, {site.radius_m:g} m", xlabel="meters", xscale="log", yscale="log")
        axes.set_ylim(1.0, 1 - MOST_DELIVERED)
        axes.set_yticks([1, 0.1, 0.01, 0.001, 1e-4, 1e-5], ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"])
    figure.axes[0].set_ylabel("readings that arrive")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _curves(site: Site) -> Iterable[Curve]:
    errors = sending_errors(TRACES, PERIODS[1], np.random.default_rng(SEED))
    meters = deploy(site, BOUND_METERS[site.name], np.random.default_rng(SEED))

    def unslotted(size: int) -> Callable[[int], float]:
        return lambda count: unslotted_delivery(site, count, size, FRAMES, SEED)

    def slots(kind: Kind, erlang: float) -> tuple[Callable[[int], float], int]:
        plan, previous = fill(meters, kind.size), kind is Kind.VALUES_PREVIOUS

        def delivery(count: int) -> float:
            late = errors[: int(np.clip(FRAMES / count, *PERIODS))]
            some = meters.first(count), kind.size, plan.first(count), late, np.random.default_rng(SEED)
            return float(slotted_readings(site, *some, erlang=erlang, previous=previous).mean())

        return delivery, len(plan)

    most = BOUND_METERS[site.name]
    yield _curve("any time, OMS 51 bytes", unslotted(OMS_SIZE), most)
    yield _curve("any time, 16 bytes", unslotted(Kind.VALUES.size), most)
    yield _curve(
        f"slots, 19 bytes with the previous value, {FOREIGN_ERLANG:.0%} foreign traffic",
        *slots(Kind.VALUES_PREVIOUS, FOREIGN_ERLANG),
    )
    yield _curve("slots, 16 bytes, until full", *slots(Kind.VALUES, 0.0))


def _curve(name: str, delivery: Callable[[int], float], most: int) -> Curve:
    counts = [round(count) for count in np.geomspace(FEWEST, most, STEPS)]
    return name, counts, [1 - min(delivery(count), MOST_DELIVERED) for count in counts]


def _clocks() -> Figure:
    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for look, (name, errors) in zip(LOOKS[::-1], _errors(), strict=False):
        _line(axes, np.quantile(np.abs(errors), 1 - SHARES).tolist(), SHARES.tolist(), name, look)
    axes.axvline(GUARD_MS, color="black", linewidth=0.8)
    axes.annotate(f"guard {GUARD_MS} ms", (GUARD_MS, 1.0), xytext=(3, -10), textcoords="offset points")
    axes.set(
        xscale="log", yscale="log", xlabel="early or late, ms", ylabel="share of all frames beyond", xlim=(0.5, 1000)
    )
    axes.legend(loc="lower left")
    return figure


def _errors() -> Iterable[tuple[str, Sequence[float]]]:
    """Milliseconds by scheme."""
    beacon = sending_errors(TRACES, 96, np.random.default_rng(SEED))
    yield "beacon every 900 s, all places", (beacon.ravel() * 1000).tolist()
    for name, scheme in (("two answers a day, indoors", clock.TWO), ("one answer a day, indoors", clock.ONE)):
        seconds: list[float] = []
        for number in range(ADAPTERS):
            for place in clock.PLACES.values():
                if place.indoors:
                    seconds += clock.run(place, scheme, DAYS, random.Random(SEED + number))[0]
        yield name, [1000 * second for second in seconds]
    frames = [
        frame
        for place in clock.PLACES.values()
        for number in range(ADAPTERS)
        for frame in Pair(random.Random(SEED + number)).live(place, DAYS)
        if frame.day >= clock.WARM_DAYS and frame.error is not None
    ]
    yield "asked for by forecast, all places", [1000 * (frame.error or 0.0) for frame in frames]


def _line(axes: Axes, across: Sequence[float], up: Sequence[float], name: str, look: tuple[str, str]) -> None:
    axes.plot(across, up, label=name, color=look[0], linestyle=look[1])


def _save(figure: Figure, target: Path) -> None:
    figure.savefig(target.with_suffix(".png"), dpi=120)
    # Without a date the file only changes when the picture does.
    figure.savefig(target.with_suffix(".svg"), metadata={"Date": None})
