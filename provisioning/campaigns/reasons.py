"""Why a delivery failed or cannot take place, by code: one sentence with the cure."""

from typing import Final

from django.utils.translation import gettext_lazy as _

NOT_ANSWERED: Final = "not_answered"  # the adapter may hold the key although we heard nothing
NOT_HEARD: Final = "not_heard"
WRONG_CHECK_VALUE: Final = "wrong_check_value"
SLOT_TAKEN: Final = "slot_taken"
ORDERED: Final = "ordered"
NOT_IN_TABLE: Final = "not_in_device_table"
CONCENTRATOR_TOO_OLD: Final = "concentrator_too_old"
NO_SLOT: Final = "no_slot"

REASONS: Final = {
    "foreign": _("A foreign device keeps the keys it came with; replace them with its maker's tool."),
    "archived": _("The adapter was archived; restore it first."),
    "revoked": _("The adapter was revoked; provision it anew with a new key file first."),
    "no_concentrator": _("No concentrator serves the adapter; pair it, or assign one."),
    "concentrator_revoked": _("The adapter's concentrator was revoked; move the adapter to another one."),
    "no_transport_key": _(
        "Portal and adapter share no key-transport key; issue one and hand the adapter's key file over again."
    ),
    "no_concentrator_transport_key": _(
        "Concentrator and adapter share no key-transport key; issue one and hand the adapter's key file over again."
    ),
    "no_waiting_key": _("No key of this kind waits for delivery; import or issue one first."),
    "already_planned": _("Another campaign is replacing this key; wait for its end, or cancel it."),
    "sequence_used_up": _("All message numbers are used up; give the adapter a new key-transport key by a key file."),
    "key_lost": _("The stored key does not open; revoke it, then try again with a new one."),
    ORDERED: _("The concentrator has the order; it agrees the key when it hears the adapter."),
    NOT_IN_TABLE: _(
        "The concentrator does not serve the adapter with a shared key-transport key yet; wait for its device table,"
        " then try again."
    ),
    CONCENTRATOR_TOO_OLD: _("The concentrator's software is too old to agree keys itself; update it, then try again."),
    NO_SLOT: _("All key slots are taken; revoke keys that are no longer used, and try again when they are forgotten."),
    NOT_ANSWERED: _("The adapter did not answer; look at its reception, then try again."),
    NOT_HEARD: _("The adapter confirmed the key but went on with the old one; look at its clock, then try again."),
    WRONG_CHECK_VALUE: _("The adapter holds another key than the one that was meant; try again."),
    SLOT_TAKEN: _("The adapter uses that key slot already; try again, another one is then taken."),
    "validity_over": _("The key's validity was over when it arrived; look at the adapter's clock, then try again."),
    "cannot_be_stored": _("The adapter could not store the key; look at its memory, then try again."),
    "purpose_unknown": _("The adapter's software does not know this kind of key; update it first."),
    "old_sequence": _("The adapter has seen a later message number; try again, a higher one is then taken."),
    "curve_unknown": _("The adapter's software does not know this curve; choose another one."),
}
