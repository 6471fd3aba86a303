"""New keys for adapters: made here, or handed in."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, Max, OuterRef
from django.utils.translation import gettext as _

from meterwire.keymemory import SLOTS
from meterwire.seal import Key16
from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, Site
from provisioning.keys.models import SLOTTED, DeviceKey, KeyState, Purpose
from provisioning.keys.services.lifecycle import make_active
from provisioning.keys.vault import Sealer, sealer

MAX_AT_ONCE = 100
INPUT = re.compile("input ([0-7])")  # the partner of a meter's own key


@dataclass(frozen=True)
class NewKey:
    """A key on its way in. `slot` None for inner and LMN keys: the lowest free one; the others have no slot."""

    purpose: str
    key: Key16
    slot: int | None = None
    tag_length: int = 4
    partner: str = "portal"
    not_before: datetime | None = None
    not_after: datetime | None = None


def issue_key(
    actor: Actor,
    adapter: Adapter,
    purpose: str,
    *,
    slot: int | None = None,
    tag_length: int = 4,
    partner: str = "portal",
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> DeviceKey:
    """A new random key in state GENERATED. VaultLocked when this process can put no key away."""
    key = Key16(secrets.token_bytes(16))
    new = NewKey(purpose, key, slot, tag_length, partner, not_before, not_after)
    require_at(actor, adapter.organisation_id, adapter.site_id, "keys.issue")
    return store(actor, adapter, [new], KeyState.GENERATED, "key.issued")[0]


def issue_root_key(actor: Actor, adapter: Adapter) -> DeviceKey:
    """A new LoRaWAN root key; it serves from the hand-over on."""
    return issue_key(actor, adapter, Purpose.ROOT)


def issue_inner_key(
    actor: Actor,
    adapter: Adapter,
    *,
    slot: int | None = None,
    tag_length: int = 4,
    partner: str = "portal",
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> DeviceKey:
    """A new inner key for `slot` (None: the lowest free one). Conflict when all eight slots are taken."""
    return issue_key(
        actor,
        adapter,
        Purpose.INNER,
        slot=slot,
        tag_length=tag_length,
        partner=partner,
        not_before=not_before,
        not_after=not_after,
    )


def issue_adapter_keys(actor: Actor, adapter: Adapter, *, tag_length: int = 4) -> list[DeviceKey]:
    """What one of our adapters needs to begin and does not have yet: a root key, an inner key, and a key-transport key
    for the portal and for the concentrator that serves it.
    """
    missing = []
    with audited(adapter.organisation):
        live = DeviceKey.objects.filter(adapter=adapter).exclude(
            state__in=[KeyState.RETIRING, KeyState.REVOKED, KeyState.DESTROYED]
        )
        if not live.filter(purpose=Purpose.ROOT).exists():
            missing.append(issue_root_key(actor, adapter))
        if not live.filter(purpose=Purpose.INNER).exists():
            missing.append(issue_inner_key(actor, adapter, tag_length=tag_length))
        partners = ["portal", *([adapter.concentrator.eui] if adapter.concentrator is not None else [])]
        for partner in partners:
            if not live.filter(purpose=Purpose.TRANSPORT, partner=partner).exists():
                missing.append(issue_key(actor, adapter, Purpose.TRANSPORT, partner=partner))
    return missing


def issue_storage_key(actor: Actor, adapter: Adapter) -> DeviceKey:
    """A key for stored history, active at once and never sent anywhere; also for an adapter that was put away."""
    require_at(actor, adapter.organisation_id, adapter.site_id, "keys.issue")
    new = NewKey(Purpose.STORAGE, Key16(secrets.token_bytes(16)), tag_length=8)
    with audited(adapter.organisation):
        key = store(actor, adapter, [new], KeyState.GENERATED, "key.issued", archived=True)[0]
        make_active(actor, key, "for stored history")
    return key


def reserve(
    actor: Actor, adapter: Adapter, partner: str, *, slot: int, tag_length: int, not_after: datetime | None
) -> DeviceKey:
    """The place of an inner key that the adapter agrees with a concentrator: DELIVERING, its value never comes here.

    The caller has checked the permission.
    """
    with audited(adapter.organisation):
        row = _numbered(adapter, Purpose.INNER, partner)
        row.slot, row.tag_length, row.not_after = free_slot(adapter, slot), tag_length, not_after
        row.state = KeyState.DELIVERING
        with validation.unique(_("Somebody else changed the keys of this adapter meanwhile; look again.")):
            row.save(force_insert=True)
        _record(actor, "key.reserved", row)
    return row


def issue_lmn_keys(actor: Actor, site: Site) -> list[DeviceKey]:
    """A new LMN key for each of our adapters at `site` that has none waiting; it is handed over before it is used.

    Needs keys.issue there. Conflict when nobody needs one, or an adapter has no slot left; then none is made.
    """
    require_at(actor, site.organisation_id, site.pk, "keys.issue")
    new = [KeyState.GENERATED, KeyState.IMPORTED, KeyState.DELIVERING]
    waiting = DeviceKey.objects.filter(adapter=OuterRef("pk"), purpose=Purpose.LMN, state__in=new)
    with audited(site.organisation):
        adapters = Adapter.objects.filter(
            ~Exists(waiting), site=site, kind=Adapter.Kind.METERSPAN, archived_at=None, revoked_at=None
        )
        rows = [issue_key(actor, adapter, Purpose.LMN) for adapter in adapters.order_by("dev_eui")]
        if not rows:
            raise Conflict(_("No adapter there needs a new LMN key: each has one that waits, or none is ours."))
    return rows


def import_keys(actor: Actor, adapter: Adapter, keys: Sequence[NewKey], *, activate: bool = True) -> list[DeviceKey]:
    """Keys that exist already, such as a supplier's; they become IMPORTED, or with `activate` ACTIVE at once."""
    require_at(actor, adapter.organisation_id, adapter.site_id, "keys.import")
    if not 1 <= len(keys) <= MAX_AT_ONCE:
        raise Invalid("keys", _("From 1 to {limit} keys can be handed in at once.").format(limit=MAX_AT_ONCE))
    with audited(adapter.organisation):
        rows = store(actor, adapter, keys, KeyState.IMPORTED, "key.imported")
        if activate:
            for row in rows:
                make_active(actor, row, "imported as active")
    return rows


def store(
    actor: Actor,
    adapter: Adapter,
    keys: Sequence[NewKey],
    state: KeyState,
    action: str,
    *,
    safe: Sealer | None = None,
    archived: bool = False,
) -> list[DeviceKey]:
    """Keys put away in that state. The caller has checked the permission; `archived`: also of an archived adapter."""
    safe = safe or sealer()
    with audited(adapter.organisation):
        if not archived:
            validation.present(adapter)
        rows = [_row(adapter, new, state, safe) for new in keys]
        for row in rows:
            _record(actor, action, row)
    return rows


def _row(adapter: Adapter, new: NewKey, state: KeyState, safe: Sealer) -> DeviceKey:
    purpose = validation.choice("purpose", new.purpose, Purpose.values)
    partner = validation.text("partner", new.partner, 40, required=True)
    _check(adapter, new, purpose)
    row = _numbered(adapter, purpose, partner)
    row.slot = free_slot(adapter, new.slot) if purpose in SLOTTED else None
    row.state, row.tag_length, row.intake = state, new.tag_length, safe.intake
    row.check_value = new.key.check_value().hex()
    row.not_before, row.not_after = new.not_before, new.not_after
    row.sealed = safe.seal(row, new.key)
    with validation.unique(_("Somebody else changed the keys of this adapter meanwhile; look again.")):
        row.save(force_insert=True)
    return row


def _numbered(adapter: Adapter, purpose: str, partner: str) -> DeviceKey:
    """A new row with the next version, which the sealed value is bound to."""
    siblings = DeviceKey.objects.filter(adapter=adapter, purpose=purpose, partner=partner)
    newest: int = siblings.aggregate(newest=Max("version"))["newest"] or 0
    return DeviceKey(
        organisation_id=adapter.organisation_id, adapter=adapter, purpose=purpose, partner=partner, version=newest + 1
    )


def _record(actor: Actor, action: str, row: DeviceKey) -> None:
    data = {
        "adapter": row.adapter.dev_eui,
        "purpose": row.purpose,
        "partner": row.partner,
        "slot": row.slot,
        "version": row.version,
        "check_value": row.check_value,
    }
    record(row.adapter.organisation, actor, action, row, data)


def _check(adapter: Adapter, new: NewKey, purpose: str) -> None:
    if new.tag_length not in (4, 8):
        raise Invalid("tag_length", _("A tag has 4 or 8 bytes."))
    if new.slot is not None and purpose not in SLOTTED:
        raise Invalid("slot", _("Only inner and LMN keys have a slot."))
    if purpose == Purpose.METER and not INPUT.fullmatch(new.partner):
        raise Invalid("partner", _("The partner of a meter's own key is the input that reads it: input 0 to input 7."))
    for field, moment in (("not_before", new.not_before), ("not_after", new.not_after)):
        if moment is not None:
            validation.moment(field, moment)
    if new.not_before is not None and new.not_after is not None and new.not_after <= new.not_before:
        raise Invalid("not_after", _("The key would never be valid: it ends before it begins."))
    foreign = adapter.kind == Adapter.Kind.FOREIGN
    if foreign and purpose not in (Purpose.ROOT, Purpose.NWK, Purpose.APP):
        raise Invalid("purpose", _("A foreign device has LoRaWAN keys only."))


def free_slot(adapter: Adapter, wanted: int | None = None) -> int:
    """`wanted`, or the lowest slot that no key holds which is not destroyed. Invalid or Conflict."""
    taken = set(
        DeviceKey.objects.filter(adapter=adapter, slot__isnull=False)
        .exclude(state=KeyState.DESTROYED)
        .values_list("slot", flat=True)
    )
    if wanted is None:
        free = [slot for slot in range(SLOTS) if slot not in taken]
        if not free:
            raise Conflict(
                _("All {count} key slots of this adapter are taken; destroy a revoked key first.").format(count=SLOTS)
            )
        return free[0]
    if not 0 <= wanted < SLOTS:
        raise Invalid("slot", _("Key slots run from 0 to {limit}.").format(limit=SLOTS - 1))
    if wanted in taken:
        raise Conflict(
            _("Key slot {wanted} of this adapter is taken; destroy its key first, or choose another slot.").format(
                wanted=wanted
            )
        )
    return wanted
