"""Makes a series of adapters here: DevEUIs in a row, random keys and owner tokens, the same report as a file's."""

import secrets
from collections.abc import Iterator
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from meterwire.ids import DevEUI, JoinEUI
from provisioning import validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.accounts.models import Organisation
from provisioning.audit.services import record
from provisioning.batches.models import Batch, BatchRow
from provisioning.batches.rows import seal_row
from provisioning.batches.services.checking import CHUNK, check, chunks
from provisioning.errors import Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, Site
from provisioning.keys.waiting import waiting_sealer
from provisioning.labels.tokens import new_token

MAX_SERIES: Final = 10_000
_LAST: Final = 0xFFFF_FFFF_FFFF_FFFF


def create_series(
    actor: Actor,
    organisation: Organisation,
    *,
    first_dev_eui: str,
    count: int,
    join_eui: str,
    serial_prefix: str = "",
    tag_length: int = 4,
    lorawan: str = Adapter.LoRaWAN.V1_0_4,
    site: Site | None = None,
) -> Batch:
    """A checked batch of `count` adapters from `first_dev_eui` on; its keys wait for their hand-over once imported.

    Serial numbers are the prefix and a number from 1, none without a prefix. Needs batches.import.
    """
    require_at(actor, organisation, site.pk if site else None, "batches.import")
    validation.same_organisation("site", site, organisation.pk)
    first = DevEUI.parse(validation.identifier("first_dev_eui", DevEUI.parse, first_dev_eui))
    join = validation.identifier("join_eui", JoinEUI.parse, join_eui)
    prefix = validation.text("serial_prefix", serial_prefix, 30)
    if tag_length not in (4, 8):
        raise Invalid("tag_length", _("A tag has 4 or 8 bytes."))
    if not 1 <= count <= MAX_SERIES:
        raise Invalid("count", _("From 1 to {limit} adapters can be made at once.").format(limit=MAX_SERIES))
    number = int.from_bytes(first.bytes, "big")
    if number == 0 or number + count - 1 >= _LAST:
        raise Invalid("first_dev_eui", _("The range runs over the end of all DevEUIs; begin lower."))
    fixed = {"join_eui": join, "lorawan": validation.choice("lorawan", lorawan, Adapter.LoRaWAN.values)}
    batch = Batch(
        organisation=organisation,
        source=Batch.Source.GENERATED,
        site=site,
        columns={"dev_eui": "DevEUI"},
        created_by=user_of(actor),
    )
    with transaction.atomic():
        batch.save(force_insert=True)
        rows = _rows(batch, number, count, fixed=fixed, prefix=prefix, tag_length=tag_length)
        for chunk in chunks(rows, CHUNK):
            BatchRow.objects.bulk_create(chunk, batch_size=CHUNK)
        batch = check(actor, batch)
        last = (number + count - 1).to_bytes(8, "big").hex()
        record(organisation, actor, "batch.generated", batch, {"count": count, "first": str(first), "last": last})
    return batch


def _rows(
    batch: Batch, number: int, count: int, *, fixed: dict[str, str], prefix: str, tag_length: int
) -> Iterator[BatchRow]:
    sealer = waiting_sealer()
    digits = max(4, len(str(count)))
    for line in range(1, count + 1):
        dev_eui = (number + line - 1).to_bytes(8, "big").hex()
        values = {**fixed, "serial": f"{prefix}{line:0{digits}}" if prefix else ""}
        plain = {name: value for name, value in values.items() if value}
        row = BatchRow(batch=batch, line=line, dev_eui=dev_eui, state=BatchRow.State.NEW, values=plain)
        secret = {
            "root_key": secrets.token_bytes(16),
            "inner_key": secrets.token_bytes(16),
            "tag_length": tag_length,
            "owner_token": new_token(),
        }
        seal_row(row, sealer, secret)
        yield row
