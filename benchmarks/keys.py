"""Keys: sealed values opened per second, a month's chart, the planning of a rotation, a data key out of an HSM.

`opens_per_s` (bound: 200,000): values opened per CPU second of one core, each cipher at hand.
`month_chart_ms` (bound: 100): a chart over a month of 15-minute values, opened in the vault process.
`rotation_plan_10k_s` (bound: 5): planning new keys for 10,000 adapters.
`pkcs11_unwrap_ms` (bound: 1): one data key unwrapped by SoftHSM2; the hot path asks it for none.
"""

import sys
from typing import Final

from benchmarks.pkcs11 import pkcs11_unwrap
from benchmarks.rotation import rotation_plan
from benchmarks.sealed import month_chart, opens
from benchmarks.stand import portal
from benchmarks.support import arguments, report

BOUNDS: Final = {
    "opens_per_s_bound": 200_000.0,
    "month_chart_ms_bound": 100.0,
    "rotation_plan_10k_s_bound": 5.0,
    "pkcs11_unwrap_ms_bound": 1.0,
}


def main() -> int:
    options = arguments(__doc__)
    figures = {**opens(), **pkcs11_unwrap()}
    with portal():
        figures |= month_chart()
        figures |= rotation_plan()
    report({**figures, **BOUNDS}, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
