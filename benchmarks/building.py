"""A whole building at accelerated time: real adapters on drifting crystals, packet forwarder and concentrator.

Nothing is modelled but crystals, meters and air: every frame is made, sent, heard, answered and stored by the programs
that run in the field (tests/simulation/house.py). Mixed data rates; basements, stairwells, cabinets outside; slots of
900 s by the portal's allocator, links with 7 to 20 dB to spare. What is counted begins when all have settled.

`delivery`: the share of readings that arrived, `collided` frames that met another one in their slot, `deaf` frames in
their slot while the concentrator itself was sending, `missed` telegrams beside the slot that they were
meant for, `p9999_ms` how far off 99.99 percent of all that were meant for slots began, `guard_used` the worst of it as
a share of the guard, `not_in_slot` adapters that did not trust their slot at the end. `downlinks_per_day`: what an
adapter hears in a day.
Goal: 0.999 delivered, no collision.
`--full`: 500 adapters for three days instead of 20 for one.
"""

import argparse
import logging
import time
from typing import Final

from benchmarks.support import report
from meterwire.config_records import SlotState
from tests.simulation.planning import planned
from tests.simulation.stay import stay

SMALL: Final = (20, 24.0)
FULL: Final = (500, 72.0)
SEED: Final = 7


def measure(adapters: int, hours: float, beacon_s: int = 0) -> dict[str, float]:
    """Figures of a building with so many adapters after so many hours of virtual time."""
    begun = time.perf_counter()
    seen = stay(planned(adapters, seed=SEED, beacon_s=beacon_s, indoors=False), hours)
    days = seen.hours / 24
    return {
        "adapters": adapters,
        "days": days,
        "delivery": seen.delivery,
        "collided": seen.collided,
        "deaf": seen.fates["slot deaf"],
        "missed": seen.missed,
        "p9999_ms": seen.error_ms(0.9999),
        "guard_used": seen.guard_used,
        "not_in_slot": adapters - seen.states[SlotState.IN_SLOT],
        "downlinks_per_day": seen.downlinks / adapters / days,
        "cpu_s_per_adapter_day": seen.cpu_s / adapters / (hours / 24),
        "seconds": time.perf_counter() - begun,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--full", action="store_true", help="500 adapters for three days")
    parser.add_argument("--beacon", type=int, default=0, choices=(0, 300, 900), help="its period in s; 0: none")
    wanted = parser.parse_args()
    logging.disable(logging.CRITICAL)
    adapters, hours = FULL if wanted.full else SMALL
    report(measure(adapters, hours, wanted.beacon), wanted.json)


if __name__ == "__main__":
    main()
