"""Sealed telemetry: values opened per second of one core, and how long a chart of a month of them takes to open.

The month is 2,880 telegrams of 15 minutes with two registers, in PostgreSQL; opened through a vault process of its
own, as a web worker does, the audit row included.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.support import arguments, cpu_seconds, report
from meterwire.ids import DevEUI
from meterwire.resting import StoredOpener
from meterwire.seal import InnerKey, ValuesSealer
from meterwire.values_telegram import Value

TELEGRAMS = 2_880
OPENED = 50_000
ROUNDS = 15
PATIENCE_S = 30.0
_DEV_EUI = DevEUI.parse("70b3d57ed0061234")


def opens() -> dict[str, float]:
    """Values per CPU second out of telegrams of one, two and four registers, each cipher at hand."""
    figures = {"opens_per_s": 0.0}
    for registers in (1, 2, 4):
        figures[f"opens_of_{registers}_per_s"] = _opens(registers)
    figures["opens_per_s"] = min(figures.values(), key=lambda value: value or float("inf"))
    return figures


def month_chart() -> dict[str, float]:
    """Milliseconds from the page's question to the chart's columns, the median. Call it inside `stand.portal()`."""
    from portal.web.registers import shown
    from portal.web.sealed import Opening
    from portal.web.series import Window, chart

    adapter, operator = _month()
    wall = []
    with _vault():
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            window = Window.of("month", "", datetime.now(UTC))
            drawn = chart(adapter, [shown(1), shown(2)], window, "flow", Opening(operator, "billing"))
            wall.append(time.perf_counter() - start)
            if drawn.sealed or len(drawn.lines[0].points) < 30:
                raise RuntimeError("the month did not open")
    return {"month_chart_ms": statistics.median(wall[1:]) * 1000, "month_chart_first_ms": wall[0] * 1000}


def _opens(registers: int) -> float:
    key = InnerKey(bytes(range(16)))
    sealer, opener = ValuesSealer(key, 1, _DEV_EUI), StoredOpener(key, _DEV_EUI)
    values = [Value(register, 56_841_020 + register) for register in range(1, registers + 1)]
    telegrams = [(sealer.seal(counter, values), counter) for counter in range(OPENED)]

    def work() -> None:
        for payload, counter in telegrams:
            opener.open(payload, counter)

    return registers * OPENED / cpu_seconds(work, rounds=5)


def _month() -> tuple[Any, Any]:
    """An adapter with its month, and a person who may open it; Django is set up later than this module is read."""
    from meterwire.messages import timestamp
    from provisioning.accounts.actors import System
    from provisioning.accounts.models import Organisation
    from provisioning.accounts.services import add_member
    from tests.portal.stage import Stage

    organisation = Organisation.objects.create(name="Sealed", slug="sealed", sealed_telemetry=True)
    stage = Stage(organisation=organisation)
    source = stage.pipeline.directory.source(stage.concentrator.eui)
    device, now = stage.device(), datetime.now(UTC)
    telegrams = []
    for number in range(TELEGRAMS):
        at = now - timedelta(minutes=15) * (TELEGRAMS - 1 - number)
        pair = (1, 50_000_000 + 137 * number), (2, 3_000_000 + 11 * number)
        telegrams.append(device.telegram(*pair, received_at=timestamp(at.timestamp())))
    for first in range(0, TELEGRAMS, 60):
        stage.run(*telegrams[first : first + 60], now=now.timestamp(), source=source)
    return device.row, add_member(System("benchmark"), organisation, "operator@sealed.example", "operator").user


@contextmanager
def _vault() -> Iterator[None]:
    """The vault as a process of its own; this one holds no key meanwhile."""
    from django.conf import settings

    from provisioning.keys.vault_client import answers

    path = Path(settings.KEK_FILE).with_name("vault.sock")
    environment = {**os.environ, "MSPAN_VAULT_SOCKET": str(path)}
    process = subprocess.Popen([sys.executable, "manage.py", "run_vault"], env=environment, stdout=subprocess.DEVNULL)
    kept = settings.KEK_FILE
    settings.KEK_FILE, settings.VAULT_SOCKET = "", str(path)
    try:
        end = time.monotonic() + PATIENCE_S
        while not answers():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the vault did not come up")
            time.sleep(0.1)
        yield
    finally:
        settings.KEK_FILE = kept
        process.terminate()
        process.wait(PATIENCE_S)


def main() -> int:
    options = arguments(__doc__)
    from benchmarks.stand import portal

    figures = opens()
    with portal():
        figures |= month_chart()
    report(figures, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
