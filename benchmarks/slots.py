"""Measures the allocator of time slots: additions per second, packing, phases kept, memory, conflicts by brute force.

Slots carry values of 16 bytes with a guard of 20 ms in quanta of 2 ms; 2.5 % of the time is reserved. Packing is the
share of the open time that is in slots: `packing_fresh` at the first refusal, `packing_churn` after five turnovers,
`packing_mixed_periods` at the first refusal with periods from 1 min to 24 h. Each is the worst of the site types unless
its name says which. `conflicts` must be 0: an independent checker writes out every occurrence of a day. `reference_*`
is the research prototype, `bound_*` what no allocator exceeds. Without `--full` the fleets are smaller.
"""

import argparse
import gc
import random
import time
import tracemalloc
from collections.abc import Sequence
from typing import Final

from benchmarks.slot_judge import conflicts
from benchmarks.support import report
from meterwire.slots import Kind, length_ms
from provisioning.slots.allocator import Allocator, Outcome

SEED: Final = 20261127
LENGTHS: Final = [length_ms(Kind.VALUES, data_rate, 20) for data_rate in range(5, -1, -1)]
SITES: Final = {  # shares of the data rates 5 to 0
    "dense": (0.994, 0.003, 0.002, 0.001, 0.0, 0.0),
    "mixed": (0.712, 0.091, 0.073, 0.058, 0.042, 0.024),
    "far": (0.441, 0.112, 0.118, 0.123, 0.112, 0.094),
}
PERIODS: Final = {60: 0.005, 300: 0.015, 900: 0.7, 3600: 0.18, 86400: 0.1}
TURNOVERS: Final = 5
REFUSALS: Final = 300
REFERENCE: Final = {
    "reference_adds_per_s": 101_000,
    "reference_adds_per_s_neighbours": 65_000,
    "reference_packing_fresh": 0.978,
    "reference_packing_churn": 0.839,
    "reference_packing_mixed_periods": 0.957,
    "reference_phase_kept": 0.93,
    "reference_bytes_per_device": 500,
    "bound_packing": 1.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--full", action="store_true", help="the published figures")
    options = parser.parse_args()
    figures: dict[str, float] = {"conflicts": 0}
    _speed(figures, rounds=5 if options.full else 2)
    _packing(figures, turnovers=TURNOVERS, sites=list(SITES) if options.full else ["mixed"])
    _periods(figures)
    _phase(figures, changes=3000 if options.full else 2000)
    report(figures | REFERENCE, options.json)


def _speed(figures: dict[str, float], rounds: int) -> None:
    for name, neighbours in (("adds_per_s", 0), ("adds_per_s_neighbours", 3)):
        fleet = _fleet(100_000, 1000, neighbours)
        best = 0.0
        for _ in range(rounds):
            allocator = Allocator()
            gc.collect()
            start = time.process_time()
            for device, concentrator, length, heard in fleet:
                allocator.add(device, concentrator, length, 900, heard)
            best = max(best, len(fleet) / (time.process_time() - start))
        figures[name] = best
        figures["conflicts"] += conflicts(allocator, ((d, c, length, 900, h) for d, c, length, h in fleet))
        figures[name.replace("adds_per_s", "unplaced")] = sum(device not in allocator for device, *_ in fleet)
        del allocator
        figures[name.replace("adds_per_s", "bytes_per_device")] = _memory(fleet)


def _memory(fleet: Sequence[tuple[int, int, int, tuple[int, ...]]]) -> float:
    tracemalloc.start()
    allocator = Allocator()
    for device, concentrator, length, heard in fleet:
        allocator.add(device, concentrator, length, 900, heard)
    spent = tracemalloc.get_traced_memory()[0] / len(fleet)
    tracemalloc.stop()
    return spent


def _packing(figures: dict[str, float], turnovers: int, sites: Sequence[str]) -> None:
    for site in sites:
        draw = random.Random(SEED)
        allocator = Allocator()
        lengths: dict[int, int] = {}
        while True:
            device, length = len(lengths), _length(draw, site)
            if allocator.add(device, 0, length) is None:
                break
            lengths[device] = length
        figures[f"packing_fresh_{site}"], figures[f"meters_{site}"] = allocator.fill(0), len(lengths)
        live, number, start = list(lengths), len(lengths), time.process_time()
        changes = turnovers * len(live)
        for _ in range(changes):
            place = draw.randrange(len(live))
            allocator.remove(live[place])
            del lengths[live[place]]
            live[place] = live[-1]
            live.pop()
            number, length = number + 1, _length(draw, site)
            if allocator.add(number, 0, length) is not None:
                lengths[number] = length
                live.append(number)
        figures[f"churn_us_{site}"] = (time.process_time() - start) / changes * 1e6
        for more in range(number + 1, number + REFUSALS):
            length = _length(draw, site)
            if allocator.add(more, 0, length) is not None:
                lengths[more] = length
        figures[f"packing_churn_{site}"] = allocator.fill(0)
        figures["conflicts"] += conflicts(allocator, ((d, 0, length, 900, ()) for d, length in lengths.items()))
    figures["packing_fresh"] = min(figures[f"packing_fresh_{site}"] for site in sites)
    figures["packing_churn"] = min(figures[f"packing_churn_{site}"] for site in sites)


def _periods(figures: dict[str, float]) -> None:
    draw = random.Random(SEED)
    allocator, held, refused, number = Allocator(), [], 0, 0
    while refused < REFUSALS:
        number += 1
        period, length = draw.choices(list(PERIODS), list(PERIODS.values()))[0], _length(draw, "mixed")
        if allocator.add(number, 0, length, period) is not None:
            held.append((number, 0, length, period, ()))
            continue
        if not refused:
            figures["packing_mixed_periods"], figures["first_refused_period_s"] = allocator.fill(0), period
        refused += 1
    figures["packing_mixed_periods_after_refusals"] = allocator.fill(0)
    figures["conflicts"] += conflicts(allocator, held)
    times = []
    for extra, length in enumerate(LENGTHS):
        start = time.process_time()
        allocator.least_overlap(("over", extra), 0, length)
        times.append(time.process_time() - start)
    figures["least_overlap_ms"] = max(times) * 1000


def _phase(figures: dict[str, float], changes: int) -> None:
    """Every second change is one data rate down, the others one up."""
    draw = random.Random(SEED)
    allocator = Allocator()
    lengths: dict[int, int] = {}
    while allocator.fill(0) < 0.8:
        lengths[len(lengths)] = length = _length(draw, "mixed")
        allocator.add(len(lengths) - 1, 0, length)
    kept = 0
    for device in draw.sample(list(lengths), changes):
        rate = LENGTHS.index(lengths[device])
        rate = min(rate + 1, 5) if draw.random() < 0.5 else max(rate - 1, 0)
        outcome = allocator.change(device, LENGTHS[rate]).outcome
        kept += outcome is Outcome.KEPT
        if outcome is not Outcome.FULL:
            lengths[device] = LENGTHS[rate]
    figures["phase_kept"], figures["phase_fill_after"] = kept / changes, allocator.fill(0)
    figures["conflicts"] += conflicts(allocator, ((d, 0, length, 900, ()) for d, length in lengths.items()))


def _length(draw: random.Random, site: str) -> int:
    return draw.choices(LENGTHS, SITES[site])[0]


def _fleet(devices: int, concentrators: int, neighbours: int) -> list[tuple[int, int, int, tuple[int, ...]]]:
    """Devices at a mixed site, heard by up to as many of the concentrators next to theirs as `neighbours` tells."""
    draw = random.Random(SEED)
    fleet = []
    for device in range(devices):
        concentrator = draw.randrange(concentrators)
        near = [(concentrator + step) % concentrators for step in (-2, -1, 1, 2, 3)]
        fleet.append((device, concentrator, _length(draw, "mixed"), tuple(draw.sample(near, neighbours))))
    return fleet


if __name__ == "__main__":
    main()
