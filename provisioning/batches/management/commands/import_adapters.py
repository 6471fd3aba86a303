"""Imports a supplier's file at the command line, for warehouses: check, tell every error, import."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire.errors import MeterspanError
from provisioning.accounts.models import Organisation
from provisioning.batches.fields import BY_NAME
from provisioning.batches.models import Batch, Supplier
from provisioning.batches.queries import rows_of
from provisioning.batches.services import look, run, save_supplier, start, upload
from provisioning.batches.services.importing import COMMAND

MAX_TOLD = 200


class Command(BaseCommand):
    help = "Check a supplier's CSV or XLSX file of adapters with their keys, and import it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--organisation", required=True, help="slug of the organisation")
        parser.add_argument("--supplier", required=True, help="name; made when it is new")
        parser.add_argument("--mapping", default="", help='JSON: {"dev_eui": "Device EUI", ...}; remembered')
        parser.add_argument("--defaults", default="", help='JSON: {"join_eui": "70B3D57ED0000001", ...}; remembered')
        parser.add_argument("--dry-run", action="store_true", help="only check; nothing is registered")
        parser.add_argument("--skip-bad", action="store_true", help="import the good rows of a file with bad ones")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of sentences")

    def handle(self, *args: Any, **options: Any) -> None:
        organisation = Organisation.objects.filter(slug=options["organisation"]).first()
        if organisation is None:
            raise CommandError(f"There is no organisation '{options['organisation']}'.")
        try:
            batch = self._upload(organisation, options)
            if not options["dry_run"] and batch.new and (options["skip_bad"] or not batch.bad):
                batch = run(start(COMMAND, batch))
        except MeterspanError as error:
            raise CommandError(str(error)) from None
        self._tell(batch, options["json"])
        if batch.state == Batch.State.FAILED or (batch.bad and not options["skip_bad"]):
            sys.exit(1)

    def _upload(self, organisation: Organisation, options: dict[str, Any]) -> Batch:
        mapping, defaults = _object("mapping", options["mapping"]), _object("defaults", options["defaults"])
        path: Path = options["file"]
        try:
            file = path.open("rb")
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
        with file:
            supplier = save_supplier(COMMAND, organisation, options["supplier"], mapping=mapping, defaults=defaults)
            if not supplier.mapping:
                supplier = self._guess(organisation, supplier, look(file, path.name, supplier).suggested)
            mode = Batch.Mode.SKIP_BAD_ROWS if options["skip_bad"] else Batch.Mode.ALL_OR_NOTHING
            return upload(COMMAND, organisation, file, path.name, supplier=supplier, mode=mode)

    def _guess(self, organisation: Organisation, supplier: Supplier, suggested: dict[str, str]) -> Supplier:
        for name, title in suggested.items():
            self.stderr.write(f"{BY_NAME[name].label}: column “{title}”")
        return save_supplier(COMMAND, organisation, supplier.name, mapping=suggested)

    def _tell(self, batch: Batch, as_json: bool) -> None:
        bad = [
            {"line": row.line, **error}
            for row in rows_of(batch).exclude(codes="").order_by("line")[:MAX_TOLD]
            for error in row.errors
        ]
        if as_json:
            figures = {name: getattr(batch, name) for name in ("total", "new", "known", "bad", "imported")}
            told = {"batch": batch.pk, "state": batch.state, **figures, "failure": batch.failure, "errors": bad}
            self.stdout.write(json.dumps(told))
            return
        for one in bad:
            place = f"line {one['line']}" + (f", {one['column']}" if one["column"] else "")
            self.stdout.write(f"{place}: {one['message']}")
        self.stdout.write(
            f"Batch {batch.pk} is {batch.state}: {batch.total} rows, {batch.new} new, {batch.known} known,"
            f" {batch.bad} bad, {batch.imported} imported."
        )
        if batch.failure:
            self.stdout.write(batch.failure)


def _object(name: str, text: str) -> dict[str, str] | None:
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(f"--{name} is no JSON: {error}") from None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise CommandError(f'--{name} must be a JSON object of texts, such as {{"dev_eui": "Device EUI"}}.')
    return value
