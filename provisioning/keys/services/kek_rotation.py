"""A new key-encryption key: data keys and what was handed in for the old one follow one by one; resumable anywhere."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from provisioning.accounts.actors import Actor, System
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Forbidden
from provisioning.keys.context import SYSTEM, WAITING
from provisioning.keys.data_keys import place as data_key_place
from provisioning.keys.holdings import holdings
from provisioning.keys.kek import KekProvider, KeyDamaged
from provisioning.keys.models import DataKey, DeviceKey
from provisioning.keys.providers.public import intake_public
from provisioning.keys.services.renewal import Step, renew_holding
from provisioning.keys.services.takein import take_in
from provisioning.keys.vault import Vault
from provisioning.keys.waiting import WaitingSealer, open_waiting


def rotate_kek(actor: Actor, present: KekProvider, before: KekProvider | None) -> Iterator[Step]:
    """Bring everything under `present`; a step for each row, committed when it is yielded. For the system only.

    Stop anywhere and call it again: what is done is skipped. `before` opens what is still under it; None when it is
    gone already and only what the present key opens is to be looked at. Raises KekMissing for a data key under a third
    key-encryption key, KekAway when hardware is gone; nothing is lost by either.
    """
    if not isinstance(actor, System):
        raise Forbidden(_("The key-encryption key is replaced by a command of the installation, not by a person here."))
    vault = Vault(present, before)
    yield from _data_keys(actor, vault, present)
    yield from _handed_in(vault)
    sealer = WaitingSealer(intake_public(present))
    for holding in holdings():
        yield from renew_holding(holding, lambda sealed, at, _org: _under(vault, present, sealer, sealed, at))


def left_under_other_keks(present: KekProvider) -> dict[str, int]:
    """How many data keys each other key-encryption key is still needed for."""
    found: dict[str, int] = {}
    for kek_id in DataKey.objects.exclude(kek_id=present.kek_id).values_list("kek_id", flat=True):
        found[kek_id] = found.get(kek_id, 0) + 1
    return found


def _data_keys(actor: Actor, vault: Vault, present: KekProvider) -> Iterator[Step]:
    rows = DataKey.objects.exclude(kek_id=present.kek_id).select_related("organisation").order_by("pk")
    total = len(rows)
    for done, row in enumerate(rows, 1):
        at = data_key_place(row.organisation_id, row.version)
        data_key = vault.data_keys.unwrap(row)
        wrapped = present.wrap(data_key, at)
        if present.unwrap(wrapped, at) != data_key:
            raise Conflict(_("The new key-encryption key does not open what it has wrapped; look at its hardware."))
        with audited(row.organisation):
            stored = DataKey.objects.filter(pk=row.pk, kek_id=row.kek_id, wrapped=row.wrapped)
            if stored.update(kek_id=present.kek_id, wrapped=wrapped):
                facts = {"version": row.version, "from": row.kek_id, "to": present.kek_id}
                record(row.organisation, actor, "datakey.rewrapped", row, facts)
        yield Step("data keys", done, total)


def _handed_in(vault: Vault) -> Iterator[Step]:
    waiting = DeviceKey.objects.filter(intake=True)
    total, done = waiting.count(), 0
    while taken := take_in(vault):
        done += taken
        yield Step("keys handed in", done, max(total, done))
    if lost := waiting.count():
        yield Step("keys handed in", done + lost, done + lost, lost)


def _under(vault: Vault, present: KekProvider, sealer: WaitingSealer, sealed: bytes, place: bytes) -> bytes | None:
    """Sealed anew under the present key; None when it is already, or hangs on a data key."""
    if sealed[:1] == bytes([WAITING]):
        try:
            open_waiting(present.intake_private(), sealed, place)
        except KeyDamaged:
            return sealer.seal(vault.open_waiting(sealed, place), place)
        return None
    if sealed[:1] != bytes([SYSTEM]) or sealed[2 : 2 + sealed[1]] == present.kek_id.encode():
        return None
    secret = vault.open_secret(sealed, place)
    anew = vault.seal_secret(secret, place)
    if vault.open_secret(anew, place) != secret:
        raise ValueError("what was sealed anew does not open")
    return anew
