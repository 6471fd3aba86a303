"""Takes the keys of a file in: each sealed at once, the file itself is kept nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.accounts.permissions import require
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter
from provisioning.keys.key_file import BadRow, Row, read
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.services.issue import store
from provisioning.keys.services.lifecycle import make_active, step
from provisioning.keys.vault import sealer

# Those wait for what comes next: a delivery to the adapter, or the hand-over to the gateway administrator.
_WAITING: Final = frozenset({Purpose.METER, Purpose.LMN})
_GONE: Final = (KeyState.REVOKED, KeyState.DESTROYED)


@dataclass
class Report:
    """`taken`: (line, key), to be compared by check value with what the maker says. `bad`: what was not taken."""

    taken: list[tuple[int, DeviceKey]] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


def import_key_file(actor: Actor, organisation: Organisation, content: bytes, *, skip_bad: bool = False) -> Report:
    """The keys of a CSV file with the columns of key_file.COLUMNS, or of a hand-over file.

    They are in their devices already: inner keys become active when they are heard, the others serve at once where
    none does; meters' own and LMN keys wait. With a bad row nothing is taken, or with `skip_bad` the rest.
    Needs keys.import.
    """
    require(actor, organisation, "keys.import")
    report = Report()
    rows = read(content)
    report.bad += [row for row in rows if isinstance(row, BadRow)]
    with audited(organisation):
        with _undone_if(report, skip_bad):
            _take(actor, organisation, [row for row in rows if isinstance(row, Row)], report)
        if report.taken:
            data = {"keys": len(report.taken), "left_out": len(report.bad)}
            record(organisation, actor, "key.file_imported", None, data)
    report.bad.sort(key=lambda row: row.line)
    return report


class _Undo(Exception):
    """Leads out of the savepoint."""


@contextmanager
def _undone_if(report: Report, skip_bad: bool) -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
            if report.bad and not skip_bad:
                raise _Undo
    except _Undo:
        report.taken.clear()


def _take(actor: Actor, organisation: Organisation, rows: list[Row], report: Report) -> None:
    names = {row.dev_eui for row in rows}
    adapters = Adapter.objects.filter(organisation=organisation, archived_at=None, dev_eui__in=names)
    known = {row.dev_eui: row for row in adapters.select_related("organisation", "concentrator")}
    seen: dict[bytes, int] = {}
    now = timezone.now()
    for row in rows:
        before = seen.setdefault(row.new.key.reveal(), row.line)
        try:
            if before != row.line:
                raise Conflict(_("The same key is in line {line}; every key is used once.").format(line=before))
            with transaction.atomic():
                key = _one(actor, known.get(row.dev_eui), row, now)
            report.taken.append((row.line, key))
        except Invalid as error:
            report.bad.append(BadRow(row.line, error.field, str(error)))
        except Forbidden as error:
            report.bad.append(BadRow(row.line, "dev_eui", str(error)))
        except Conflict as error:
            report.bad.append(BadRow(row.line, "key", str(error)))


def _one(actor: Actor, adapter: Adapter | None, row: Row, now: datetime) -> DeviceKey:
    if adapter is None:
        raise Invalid("dev_eui", _("There is no such adapter here; register it first."))
    require_at(actor, adapter.organisation_id, adapter.site_id, "keys.import")
    if row.new.not_after is not None and row.new.not_after <= now:
        raise Invalid("not_after", _("The validity of this key is over."))
    siblings = DeviceKey.objects.filter(adapter=adapter, purpose=row.new.purpose, partner=row.new.partner)
    live = siblings.exclude(state__in=_GONE)
    if live.filter(check_value=row.new.key.check_value().hex()).exists():
        raise Conflict(_("This key is there already."))
    key = store(actor, adapter, [row.new], KeyState.IMPORTED, "key.imported", safe=sealer())[0]
    if key.purpose == Purpose.INNER:
        step(actor, key, KeyState.DELIVERING, reason="imported from a file")
    elif key.purpose not in _WAITING and not live.filter(state=KeyState.ACTIVE).exists():
        make_active(actor, key, "imported from a file")
    return key
