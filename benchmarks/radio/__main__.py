"""Simulates how many meters one concentrator hears: with the portal's allocator, and without any slots.

One radio model for all ways to send (that of `adapter_agent.simulation`), three sites, 16 demodulators, 8 channels,
values every 900 s. `meters_*`: 16-byte telegrams in slots with 20 ms of guard, beacon and reserve, of which at least
99.9 % arrive, the least of all deployments; `meters_*_foreign`: with the previous value (19 bytes) under 1 % of
foreign traffic on each channel.
`unslotted_*`: meters at 99 % when everybody sends at any time; `ratio_*`: what fits in slots, the mean of all
deployments, over those with 51 bytes.
`overload_*`: a fifth more meters than fit, those placed over others where that does least harm, at a slower data rate
if need be (of all sites the worst); `new_plan`: all placed anew with the widest guard that fits, where one does.
`newcomers`: what arrives of those that came too many; `slower`: the share of them that got a slower data rate.
`aloha_check_error`: the model without capture against 1 - exp(-2G). `beacon_error_p9999_ms`: within that much of their
time 99.99 % of the frames begin.
`_prototype` and `_bound` are the reference's. `--full`: the published figures. `--plots`: draws docs/images.
"""

import argparse
from pathlib import Path

from benchmarks.radio.figures import FULL, QUICK, measure
from benchmarks.support import report

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--full", action="store_true", help="the published figures: takes minutes")
    parser.add_argument("--plots", action="store_true", help="draw the plots instead")
    options = parser.parse_args()
    if options.plots:
        from benchmarks.radio.plots import draw

        draw(IMAGES)
        return
    report(measure(FULL if options.full else QUICK), options.json)


if __name__ == "__main__":
    main()
