"""`manage.py audit_verify`: proves that every audit chain is unbroken."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire.errors import MeterspanError
from provisioning.accounts.models import Organisation
from provisioning.audit.anchors import read_anchors
from provisioning.audit.queries import passes_through, verify


class Command(BaseCommand):
    help = "Recompute the audit chains; exit code 1 and the first broken entry when one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", metavar="SLUG", help="only this organisation")

        parser.add_argument(
            "--anchors", type=Path, metavar="FILE", help="also compare with the ends that MSPAN_AUDIT_ANCHOR_FILE kept"
        )

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
        if options["anchors"] is not None:
            broken += self._against(options["anchors"], organisations)
        if broken:
            raise CommandError("\n".join(broken))

    def _against(self, path: Path, organisations: Iterable[Organisation]) -> list[str]:
        try:
            anchors = read_anchors(path)
        except (OSError, MeterspanError) as error:
            raise CommandError(f"{path} cannot be compared with: {error}") from error
        gone = []
        for organisation in organisations:
            own = [anchor for anchor in anchors if anchor.organisation == organisation.slug]
            lost = [anchor for anchor in own if not passes_through(organisation, anchor.entries, anchor.head)]
            gone += [f"{anchor.organisation}: not the chain of {anchor.at}: entry {anchor.entries}" for anchor in lost]
            if own and not lost:
                self.stdout.write(f"{organisation.slug}: goes through all {len(own)} anchors")
        return gone
