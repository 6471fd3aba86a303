"""`manage.py slot_plan EUI`: whether and how a concentrator's adapters get time slots."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire.errors import MeterspanError
from provisioning.accounts.actors import System
from provisioning.fleet.models import Concentrator
from provisioning.slots.services import plan_of, set_plan


class Command(BaseCommand):
    help = "Show how a concentrator divides its time, or change it: who is paired from then on gets a slot, or none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("eui", metavar="EUI", help="the concentrator, 16 hexadecimal digits")
        giving = parser.add_mutually_exclusive_group()
        giving.add_argument("--on", dest="by_pairing", action="store_true", default=None, help="pairings get slots")
        giving.add_argument("--off", dest="by_pairing", action="store_false", help="pairings get none")
        parser.add_argument("--guard-ms", type=int, help="before and after each frame")
        parser.add_argument("--quantum-ms", type=int, help="2 to 10")
        parser.add_argument("--reserve", type=int, help="thousandths of the time for frames without a slot")
        parser.add_argument("--previous", action="store_true", default=None, help="telegrams carry the value before")

    def handle(self, *, eui: str, **options: Any) -> None:
        concentrator = Concentrator.objects.filter(eui=eui.lower(), archived_at=None).first()
        if concentrator is None:
            raise CommandError(f"No concentrator is registered as {eui}.")
        plan = plan_of(concentrator)
        names = ("quantum_ms", "guard_ms", "reserve", "previous", "by_pairing")
        wanted = {name: getattr(plan, name) if options[name] is None else options[name] for name in names}
        if any(options[name] is not None for name in names):
            try:
                plan = set_plan(System("slot_plan"), concentrator, **wanted)
            except MeterspanError as error:
                raise CommandError(str(error)) from error
        self.stdout.write(
            f"{concentrator.eui}: slots {'on' if plan.by_pairing else 'off'}, {plan}, "
            f"reserve {plan.reserve} thousandths, {'with' if plan.previous else 'without'} the previous value"
        )
