"""`manage.py slot_plan EUI`: whether and how a concentrator's adapters get time slots."""

import json
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire.errors import MeterspanError
from meterwire.slots import MAX_DATA_RATE, MAX_GUARD_MS, QUANTA_MS
from provisioning.accounts.actors import System
from provisioning.fleet.models import Concentrator
from provisioning.slots.models import BEACON_PERIODS, SlotPlan
from provisioning.slots.queries import fullness
from provisioning.slots.services import plan_of, set_plan

_NAMES: Final = ("quantum_ms", "guard_ms", "reserve", "previous", "by_pairing", "beacon_period_s", "beacon_data_rate")


class Command(BaseCommand):
    help = (
        "Show how a concentrator divides its time, or change it. Concentrator and adapters are told what they have to "
        "know; no slot that was given is moved: guard and size hold for slots given from then on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("eui", metavar="EUI", help="the concentrator, 16 hexadecimal digits")
        giving = parser.add_mutually_exclusive_group()
        giving.add_argument(
            "--on", dest="by_pairing", action="store_true", default=None,
            help="who is paired gets a slot, and so do those who are paired already (usual)",
        )  # fmt: skip
        giving.add_argument(
            "--off", dest="by_pairing", action="store_false",
            help="who is paired from then on gets none; a slot that was given ends with the next change of its pairing",
        )  # fmt: skip
        parser.add_argument(
            "--guard", "--guard-ms", dest="guard_ms", type=int, metavar="MS",
            help=f"before and after each frame, 0 to {MAX_GUARD_MS}; usually 60",
        )  # fmt: skip
        parser.add_argument(
            "--quantum", "--quantum-ms", dest="quantum_ms", type=int, metavar="MS",
            help=f"the grid of slots, {_listed(QUANTA_MS)}; usually 2; fixed while there are slots",
        )  # fmt: skip
        parser.add_argument(
            "--reserve", type=int, metavar="THOUSANDTHS", help="of the time, for frames without a slot; usually 25"
        )
        carried = parser.add_mutually_exclusive_group()
        carried.add_argument(
            "--previous", action="store_true", default=None, help="telegrams carry the value before too"
        )
        carried.add_argument("--no-previous", dest="previous", action="store_false", help="they do not (usual)")
        parser.add_argument(
            "--beacon", dest="beacon_period_s", type=int, metavar="SECONDS",
            help=f"between beacons, {_listed(BEACON_PERIODS)}; 0: none (usual); from some thousand adapters on",
        )  # fmt: skip
        parser.add_argument(
            "--beacon-rate", dest="beacon_data_rate", type=int, metavar="RATE",
            help=f"data rate of the beacon, 0 to {MAX_DATA_RATE}; usually 3",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *, eui: str, **options: Any) -> None:
        concentrator = Concentrator.objects.filter(eui=eui.lower(), archived_at=None).first()
        if concentrator is None:
            raise CommandError(f"No concentrator is registered as {eui}.")
        plan = plan_of(concentrator)
        wanted = {name: getattr(plan, name) if options[name] is None else options[name] for name in _NAMES}
        if any(options[name] is not None for name in _NAMES):
            try:
                plan = set_plan(System("slot_plan"), concentrator, **wanted)
            except MeterspanError as error:
                raise CommandError(str(error)) from error
        show = _as_json if options["json"] else _as_text
        self.stdout.write(show(concentrator, plan))


def _as_json(concentrator: Concentrator, plan: SlotPlan) -> str:
    used = fullness(concentrator)
    values = {name: getattr(plan, name) for name in _NAMES}
    full_since = plan.full_since and plan.full_since.isoformat()
    taken = {"slots": used.slots, "overlapping": used.overlapping, "used": round(used.used, 6)}
    return json.dumps({"eui": concentrator.eui, **values, "full_since": full_since, **taken})


def _as_text(concentrator: Concentrator, plan: SlotPlan) -> str:
    used = fullness(concentrator)
    beacon = f"every {plan.beacon_period_s} s at data rate {plan.beacon_data_rate}" if plan.beacon_period_s else "none"
    lines = (
        f"{concentrator.eui}: slots {'on' if plan.by_pairing else 'off'}",
        f"  quantum {plan.quantum_ms} ms, guard {plan.guard_ms} ms, reserve {plan.reserve} thousandths",
        f"  previous value: {'carried' if plan.previous else 'not carried'}; beacon: {beacon}",
        f"  {used.slots} slots take {used.used:.1%} of the time; {used.overlapping} lie over others",
    )
    return "\n".join(lines)


def _listed(numbers: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} or {numbers[-1]}"
