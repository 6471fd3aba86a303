"""`manage.py audit_verify`: proves that every audit chain is unbroken."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioning.accounts.models import Organisation
from provisioning.audit.queries import verify


class Command(BaseCommand):
    help = "Recompute the audit chains; exit code 1 and the first broken entry when one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", metavar="SLUG", help="only this organisation")

    def handle(self, *args: Any, **options: Any) -> None:
        organisations = Organisation.objects.order_by("slug")
        if slug := options["organisation"]:
            organisations = organisations.filter(slug=slug)
            if not organisations:
                raise CommandError(f"There is no organisation '{slug}'.")
        broken = []
        for verdict in map(verify, organisations):
            name = verdict.organisation.slug
            if verdict.broken is None:
                self.stdout.write(f"{name}: {verdict.entries} entries, unbroken, head {verdict.head or '-'}")
            else:
                broken.append(f"{name}: broken at entry {verdict.broken}: {verdict.reason}")
        if broken:
            raise CommandError("\n".join(broken))
