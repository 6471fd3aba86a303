"""Audit actions in words, and their data as a line."""

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

MAX_DETAILS = 240
LEFT_OUT = {"register_group", "from_at", "to_at", "partner"}  # told by the entry's time, or always the same

_NAMES: dict[str, str | Promise] = {
    "adapter.archived": gettext_lazy("Adapter archived"),
    "adapter.created": gettext_lazy("Adapter registered"),
    "adapter.moved": gettext_lazy("Adapter moved"),
    "adapter.reinstated": gettext_lazy("Adapter may serve again"),
    "adapter.reporting_set": gettext_lazy("Reporting of an adapter set"),
    "adapter.revoked": gettext_lazy("Adapter revoked"),
    "adapter.updated": gettext_lazy("Adapter changed"),
    "approval.approved": gettext_lazy("Request approved"),
    "approval.refused": gettext_lazy("Request refused"),
    "approval.requested": gettext_lazy("Approval asked for"),
    "approval.used": gettext_lazy("Approval used"),
    "approval.withdrawn": gettext_lazy("Request withdrawn"),
    "backup.restored": gettext_lazy("Backup restored"),
    "batch.cancelled": gettext_lazy("Batch cancelled"),
    "batch.finished": gettext_lazy("Batch imported"),
    "batch.generated": gettext_lazy("Series of adapters made"),
    "batch.imported": gettext_lazy("Adapters and keys imported"),
    "batch.started": gettext_lazy("Batch released for import"),
    "batch.uploaded": gettext_lazy("Supplier's file uploaded"),
    "campaign.cancelled": gettext_lazy("Campaign cancelled"),
    "campaign.done": gettext_lazy("Campaign done"),
    "campaign.paused": gettext_lazy("Campaign paused"),
    "campaign.planned": gettext_lazy("Campaign planned"),
    "campaign.resumed": gettext_lazy("Campaign resumed"),
    "campaign.retried": gettext_lazy("Failed deliveries planned again"),
    "concentrator.archived": gettext_lazy("Concentrator archived"),
    "concentrator.key_approved": gettext_lazy("Concentrator key approved"),
    "concentrator.password_reset": gettext_lazy("Concentrator password reset"),
    "concentrator.registered": gettext_lazy("Concentrator registered"),
    "concentrator.revoked": gettext_lazy("Concentrator revoked"),
    "concentrator.updated": gettext_lazy("Concentrator changed"),
    "datakey.added": gettext_lazy("Data key made"),
    "datakey.rewrapped": gettext_lazy("Data key wrapped by a new key-encryption key"),
    "delivery.failed": gettext_lazy("Delivery of a key failed"),
    "delivery.offered": gettext_lazy("Agreement on a key offered"),
    "delivery.retried": gettext_lazy("Delivery of a key planned again"),
    "factor.added": gettext_lazy("Second factor set up"),
    "factor.codes_renewed": gettext_lazy("Recovery codes made"),
    "factor.recovery_used": gettext_lazy("Recovery code used"),
    "factor.removed": gettext_lazy("Second factor removed"),
    "factor.reset": gettext_lazy("Second factors of a person reset"),
    "key.active": gettext_lazy("Key activated"),
    "key.agreed": gettext_lazy("Key agreed with the adapter"),
    "key.delivering": gettext_lazy("Key on its way to the adapter"),
    "key.destroyed": gettext_lazy("Key destroyed"),
    "key.file_imported": gettext_lazy("File of keys imported"),
    "key.forgotten": gettext_lazy("Adapter has forgotten a key"),
    "key.grace_set": gettext_lazy("Time of grace of a key set"),
    "key.handed_over": gettext_lazy("Key file handed over"),
    "key.imported": gettext_lazy("Key imported"),
    "key.issued": gettext_lazy("Key issued"),
    "key.resealed": gettext_lazy("History sealed anew for storage"),
    "key.reserved": gettext_lazy("Key of adapter and concentrator begun"),
    "key.retiring": gettext_lazy("Key retiring"),
    "key.revealed": gettext_lazy("Key shown in clear"),
    "key.revoked": gettext_lazy("Key revoked"),
    "key.rewrapped": gettext_lazy("Key wrapped for a recipient"),
    "keys.exported": gettext_lazy("Key inventory exported"),
    "label.printed": gettext_lazy("Labels printed"),
    "label.token_adopted": gettext_lazy("Supplier's label adopted"),
    "label.token_issued": gettext_lazy("Label made"),
    "label.token_used": gettext_lazy("Label used for pairing"),
    "label.tokens_adopted": gettext_lazy("Supplier's labels adopted"),
    "lmn_handover.acknowledged": gettext_lazy("LMN keys acknowledged by the gateway"),
    "lmn_handover.downloaded": gettext_lazy("File of LMN keys downloaded"),
    "lmn_handover.made": gettext_lazy("File of LMN keys made"),
    "lmn_handover.prepared": gettext_lazy("Hand-over of LMN keys prepared"),
    "lmn_handover.withdrawn": gettext_lazy("Hand-over of LMN keys withdrawn"),
    "member.added": gettext_lazy("Member added"),
    "member.changed": gettext_lazy("Member changed"),
    "member.removed": gettext_lazy("Member removed"),
    "meter.installed": gettext_lazy("Meter installed"),
    "meter.removed": gettext_lazy("Meter removed"),
    "meter_key.added": gettext_lazy("Meter's public key made known"),
    "metering_point.archived": gettext_lazy("Metering point archived"),
    "metering_point.created": gettext_lazy("Metering point created"),
    "metering_point.updated": gettext_lazy("Metering point changed"),
    "organisation.created": gettext_lazy("Organisation created"),
    "pairing.adapter_replaced": gettext_lazy("Adapter replaced"),
    "pairing.blocked": gettext_lazy("Person blocked from scanning"),
    "pairing.confirmed": gettext_lazy("Pairing confirmed"),
    "pairing.created": gettext_lazy("Adapter paired"),
    "pairing.ended": gettext_lazy("Pairing ended"),
    "pairing.identity": gettext_lazy("Meter's identity found out"),
    "pairing.meter_replaced": gettext_lazy("Meter replaced"),
    "pairing.moved": gettext_lazy("Adapter moved to another meter"),
    "pairing.photo_set": gettext_lazy("Photo of a meter kept"),
    "pairing.readings_attributed": gettext_lazy("Waiting readings given to a metering point"),
    "pairing.resolved": gettext_lazy("Mismatch resolved"),
    "pairing.unblocked": gettext_lazy("Person may scan again"),
    "pairing.wrong_token": gettext_lazy("Label with a wrong owner token"),
    "readings.exported": gettext_lazy("Readings exported"),
    "readings.opened": gettext_lazy("Sealed values opened"),
    "schedule.created": gettext_lazy("Key schedule made"),
    "schedule.ended": gettext_lazy("Key schedule ended"),
    "schedule.skipped": gettext_lazy("Key schedule left out once"),
    "signed_day.exported": gettext_lazy("Proof of a signed day handed out"),
    "signing_key.changed": gettext_lazy("Adapter signs with another key"),
    "slot.assigned": gettext_lazy("Time slot given"),
    "slot.handed_on": gettext_lazy("Time slot handed on to another adapter"),
    "slot.moved": gettext_lazy("Time slot moved"),
    "slot.neighbour_found": gettext_lazy("Adapter heard by another concentrator too"),
    "slot.released": gettext_lazy("Time slot taken back"),
    "slot.skipped_ahead": gettext_lazy("Adapter runs a later time slot than was known here"),
    "slot_plan.full": gettext_lazy("No room for time slots of their own"),
    "slot_plan.updated": gettext_lazy("Plan of the time slots changed"),
    "signing_key.trusted": gettext_lazy("Adapter's signing key taken over"),
    "site.archived": gettext_lazy("Site archived"),
    "site.created": gettext_lazy("Site created"),
    "site.updated": gettext_lazy("Site changed"),
    "supplier.created": gettext_lazy("Supplier added"),
    "supplier.updated": gettext_lazy("Supplier's columns changed"),
    "telemetry.history_sealed": gettext_lazy("Clear values of before sealed"),
    "telemetry.sealed": gettext_lazy("Values are stored sealed from now on"),
    "telemetry.unsealed": gettext_lazy("Values are stored clear from now on"),
    "token.created": gettext_lazy("Token made"),
    "token.revoked": gettext_lazy("Token revoked"),
}


def action_name(action: str) -> str:
    """The action in words; one without words as it is written."""
    return str(_NAMES.get(action, action))


def details(data: dict[str, Any]) -> str:
    """The entry's data as one line; a change as "before → after"."""
    parts = []
    for key, value in data.items():
        if key in LEFT_OUT:
            continue
        if isinstance(value, list) and len(value) == 2:
            parts.append(f"{key}: {_text(value[0])} → {_text(value[1])}")
        elif value not in (None, "", []):
            parts.append(f"{key}: {_text(value)}")
    line = " · ".join(parts)
    return line if len(line) <= MAX_DETAILS else line[: MAX_DETAILS - 1] + "…"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return _("none") if value in (None, "") else str(value)
