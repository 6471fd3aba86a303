"""A new data key for an organisation, and everything of its that is sealed under older ones sealed anew; resumable."""

import struct
from collections.abc import Iterator

from django.db.models import Max
from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor, System
from provisioning.accounts.models import Organisation
from provisioning.audit.services import audited, record
from provisioning.errors import Forbidden
from provisioning.keys.context import SECRET, VAULT
from provisioning.keys.holdings import holdings
from provisioning.keys.models import DataKey, DeviceKey, KeyState
from provisioning.keys.services.renewal import Step, renew, renew_holding
from provisioning.keys.vault import Vault


def add_data_key(actor: Actor, organisation: Organisation, vault: Vault) -> DataKey:
    """From now on the organisation seals with a new data key. For the system only; `reseal_all` does the rest.

    Older ones stay, wrapped: what was sealed under them by a process that had not seen the new one opens still.
    """
    _system(actor)
    with audited(organisation):
        newest = DataKey.objects.filter(organisation=organisation).aggregate(newest=Max("version"))["newest"] or 0
        row = vault.data_keys.add(organisation.pk, newest + 1)
        record(organisation, actor, "datakey.added", row, {"version": row.version, "kek": row.kek_id})
    return row


def reseal_all(actor: Actor, organisation: Organisation, vault: Vault) -> Iterator[Step]:
    """Bring the organisation's sealed rows under its newest data key; a step for each row, committed when yielded."""
    _system(actor)
    newest = DataKey.objects.filter(organisation=organisation).aggregate(newest=Max("version"))["newest"] or 0

    def device_key(row: DeviceKey) -> bytes | None:
        if not _older(bytes(row.sealed), VAULT, newest):
            return None
        key = vault.open(row)
        before, row.sealed = row.sealed, vault.seal(row, key)
        if vault.open(row) != key:
            row.sealed = before
            raise ValueError("what was sealed anew does not open")
        return bytes(row.sealed)

    def secret(sealed: bytes, place: bytes, organisation_id: int | None) -> bytes | None:
        if organisation_id != organisation.pk or not _older(sealed, SECRET, newest):
            return None
        opened = vault.open_secret(sealed, place, organisation.pk)
        anew = vault.seal_secret(opened, place, organisation.pk)
        if vault.open_secret(anew, place, organisation.pk) != opened:
            raise ValueError("what was sealed anew does not open")
        return anew

    keys = DeviceKey.objects.filter(organisation=organisation).exclude(state=KeyState.DESTROYED)
    yield from renew("device keys", keys.select_related("adapter"), "sealed", device_key)
    for holding in holdings():
        yield from renew_holding(holding, secret)


def _older(sealed: bytes, form: int, newest: int) -> bool:
    if len(sealed) < 5:
        return False
    found, version = struct.unpack(">BI", sealed[:5])
    return bool(found == form and version < newest)


def _system(actor: Actor) -> None:
    if not isinstance(actor, System):
        raise Forbidden(_("Data keys are replaced by a command of the installation, not by a person here."))
