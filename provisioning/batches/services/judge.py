"""Holds rows against what is registered: new, known already with the same keys, or in contradiction."""

from collections.abc import Iterable, Sequence

from django.utils.translation import gettext as _

from provisioning.batches.models import BatchRow
from provisioning.batches.rows import Error, add_errors
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey, KeyState

_GONE = (KeyState.REVOKED, KeyState.DESTROYED)


def judge(organisation_id: int, rows: Sequence[BatchRow], titles: dict[str, str]) -> list[BatchRow]:
    """Set state and errors of rows that are sound in themselves; returns those that changed. Reads only."""
    adapters = {
        adapter.dev_eui: adapter
        for adapter in Adapter.objects.filter(dev_eui__in=[row.dev_eui for row in rows], archived_at=None).only(
            "dev_eui", "join_eui", "organisation_id"
        )
    }
    own = [adapter.pk for adapter in adapters.values() if adapter.organisation_id == organisation_id]
    held: dict[int, dict[str, set[str]]] = {}
    keys = DeviceKey.objects.filter(adapter_id__in=own).exclude(state__in=_GONE)
    for adapter_id, purpose, check_value in keys.values_list("adapter_id", "purpose", "check_value"):
        held.setdefault(adapter_id, {}).setdefault(purpose, set()).add(check_value)
    changed = []
    for row in rows:
        before = (row.state, row.codes)
        _reset(row)
        adapter = adapters.get(row.dev_eui)
        if adapter is not None and adapter.organisation_id != organisation_id:
            add_errors(row, [_elsewhere(titles)], flawed=False)
        elif adapter is not None:
            errors = list(_differences(row, adapter, held.get(adapter.pk, {}), titles))
            if errors:
                add_errors(row, errors, flawed=False)
            else:
                row.state = BatchRow.State.KNOWN
        if (row.state, row.codes) != before:
            changed.append(row)
    return changed


def _reset(row: BatchRow) -> None:
    row.state, row.errors, row.codes = BatchRow.State.NEW, [], ""


def _differences(row: BatchRow, adapter: Adapter, held: dict[str, set[str]], titles: dict[str, str]) -> Iterable[Error]:
    names = iter(("root_key", "inner_key", "inner_key_2"))
    join_eui = row.values.get("join_eui")
    if join_eui and join_eui != adapter.join_eui:
        text = _("This adapter is registered already with JoinEUI {known}.").format(known=adapter.join_eui.upper())
        yield {"column": titles.get("join_eui", ""), "code": "known_other_join", "message": text}
    for key in row.keys:
        name = next(names)
        known = held.get(key["purpose"], set())
        if key["check_value"] in known:
            continue
        text = _(
            "This adapter is registered already with another key (check value {known}, here {new})."
            " Archive it first if the file is right."
        ).format(known=", ".join(sorted(known)).upper() or "–", new=key["check_value"].upper())
        yield {"column": titles.get(name, ""), "code": "known_other_key", "message": text}


def _elsewhere(titles: dict[str, str]) -> Error:
    text = _("This DevEUI cannot be registered here. Compare it with the label; if it is right, ask the supplier.")
    return {"column": titles.get("dev_eui", ""), "code": "not_available", "message": text}
