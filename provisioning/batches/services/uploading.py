"""Takes a supplier's file in: parsed in memory, its keys sealed row by row, the file forgotten."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

from django.db import transaction
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.accounts.models import Organisation
from provisioning.audit.services import record
from provisioning.batches.cells import Cell
from provisioning.batches.errors import FileRefused
from provisioning.batches.fields import suggest
from provisioning.batches.files import Hints, open_table
from provisioning.batches.models import Batch, BatchRow, Supplier
from provisioning.batches.plan import plan_for
from provisioning.batches.rows import RowReader
from provisioning.batches.services.checking import CHUNK, check, chunks, count, mark_repeats
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Concentrator, Site
from provisioning.keys.waiting import waiting_sealer

SAMPLE_ROWS = 3
SHOWN = 24


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file looks like: titles, a few rows with everything long hidden, and which column may be which field."""

    titles: list[str]
    sample: list[list[str]] = field(repr=False)
    suggested: dict[str, str]
    facts: dict[str, str]


def look(file: BinaryIO, file_name: str, supplier: Supplier | None) -> Preview:
    """Read the titles and the first rows. FileRefused with the reason."""
    with open_table(file, file_name, _hints(supplier)) as table:
        rows = list(islice(table.rows, SAMPLE_ROWS))
        width = len(table.titles)
        sample = [[_shown(cell) for cell in cells[:width]] for _line, cells in rows]
        suggested = suggest(table.titles, supplier.mapping if supplier else {})
        return Preview(table.titles, sample, suggested, table.facts)


def upload(
    actor: Actor,
    organisation: Organisation,
    file: BinaryIO,
    file_name: str,
    *,
    supplier: Supplier,
    mapping: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
    mode: str = Batch.Mode.ALL_OR_NOTHING,
    site: Site | None = None,
    concentrator: Concentrator | None = None,
) -> Batch:
    """A batch of the file's rows, checked. `mapping` and `defaults`: None takes the supplier's.

    FileRefused when it is no table within the bounds or columns are missing; wrong cells are errors of their rows.
    VaultLocked when this process can put no key away. Needs batches.import.
    """
    require_at(actor, organisation, site.pk if site else None, "batches.import")
    for name, row in (("supplier", supplier), ("site", site), ("concentrator", concentrator)):
        validation.same_organisation(name, row, organisation.pk)
    sealer = waiting_sealer()
    batch = Batch(
        organisation=organisation,
        supplier=supplier,
        source=Batch.Source.FILE,
        file_name=clean_name(file_name),
        file_digest=_digest(file),
        mode=validation.choice("mode", mode, Batch.Mode.values),
        site=site,
        concentrator=concentrator,
        created_by=user_of(actor),
    )
    with open_table(file, file_name, _hints(supplier)) as table, transaction.atomic():
        plan = plan_for(
            table.titles,
            supplier.mapping if mapping is None else mapping,
            supplier.defaults if defaults is None else defaults,
        )
        batch.columns, batch.facts = plan.titles(), table.facts
        batch.save(force_insert=True)
        reader = RowReader(batch, plan, sealer)
        for chunk in chunks(table.rows, CHUNK):
            BatchRow.objects.bulk_create([reader.read(line, cells) for line, cells in chunk], batch_size=CHUNK)
        mark_repeats(batch, reader)
        count(batch)
        if not batch.total:
            raise FileRefused(_("There are no rows below the titles."))
        checked = check(actor, batch)
        data = {"digest": checked.file_digest[:16], "rows": checked.total, "new": checked.new, "known": checked.known}
        record(organisation, actor, "batch.uploaded", checked, {**data, "bad": checked.bad, "supplier": supplier.name})
    return checked


def clean_name(name: str) -> str:
    """A file's name as it is kept and shown: no path, no control characters."""
    name = name.replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in name if sign.isprintable()).strip()[-120:] or "file"


def _hints(supplier: Supplier | None) -> Hints:
    return Hints(supplier.encoding, supplier.delimiter) if supplier else Hints()


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


def _shown(cell: Cell) -> str:
    """A cell of the preview. What may be a key or a token is not shown: this is before anybody said which it is."""
    text = "".join(sign if sign.isprintable() else "·" for sign in cell.text.strip())
    digits = text.translate(str.maketrans("", "", " -:."))
    if len(digits) == 16 and cell.flaw == "" and not set(digits.lower()) - set("0123456789abcdef"):
        return text
    if len(digits) > 12 and " " not in text:
        return _("{n} signs, hidden").format(n=len(digits))
    return text[:SHOWN]
