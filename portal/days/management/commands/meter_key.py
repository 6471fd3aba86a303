"""`manage.py meter_key METER CURVE PUBLIC`: makes the key known with which a meter signs by itself."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from meterwire.errors import MeterspanError
from meterwire.meter_signature import MeterCurve
from portal.days.services.meters import know_meter_key
from provisioning.accounts.actors import System
from provisioning.fleet.models import Meter


class Command(BaseCommand):
    help = "Keep the public key of a meter, so that what it signs and adapters pass through can be checked."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("meter", help="the meter's identification, for example 1EMH0000000001")
        parser.add_argument("curve", choices=list(MeterCurve))
        parser.add_argument("public", help="x and y in hex, as the meter shows it (129-129:199.130.5)")
        parser.add_argument("--organisation", help="its short name, where several have a meter of that number")

    def handle(self, *, meter: str, curve: str, public: str, organisation: str | None, **_: Any) -> None:
        rows = Meter.objects.filter(meter_id=meter, removed_at=None).select_related("organisation", "metering_point")
        if organisation is not None:
            rows = rows.filter(organisation__slug=organisation)
        found = list(rows[:2])
        if len(found) != 1:
            how_many = "No meter" if not found else "More than one meter"
            raise CommandError(f"{how_many} {meter} is installed; check the number, or name the --organisation.")
        try:
            row = know_meter_key(System("manage.py meter_key"), found[0], curve=curve, public=public)
        except MeterspanError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"known: {row.curve} {row.public} of {meter}")
