"""Every change to pairings: permission, change, audit, in one transaction. History is closed, never rewritten."""

from provisioning.pairing.services.answers import Answer, ClaimRequest
from provisioning.pairing.services.blocks import clear_wrong_claims
from provisioning.pairing.services.change import move, pair, replace_adapter, replace_meter, unpair
from provisioning.pairing.services.claim import claim
from provisioning.pairing.services.configuration import (
    desired_configuration,
    refresh_configuration,
    refresh_many,
    set_periods,
    set_reporting,
)
from provisioning.pairing.services.identity import confirm, found_identity
from provisioning.pairing.services.photo import set_photo
from provisioning.pairing.services.renewal import follow_refusal, give_missing, give_slots, renew_next
from provisioning.pairing.services.resolve import resolve_mismatch
from provisioning.pairing.services.scans import adapter_by_scan
from provisioning.pairing.services.slot_upkeep import follow_rate, hear_echo, renew_slot
from provisioning.pairing.services.slots import SLOWEST, USUAL_PERIOD_S, first_rate
from provisioning.pairing.services.steps import record_step

__all__ = [
    "SLOWEST",
    "USUAL_PERIOD_S",
    "Answer",
    "ClaimRequest",
    "adapter_by_scan",
    "claim",
    "clear_wrong_claims",
    "confirm",
    "desired_configuration",
    "first_rate",
    "follow_rate",
    "follow_refusal",
    "found_identity",
    "give_missing",
    "give_slots",
    "hear_echo",
    "move",
    "pair",
    "record_step",
    "refresh_configuration",
    "refresh_many",
    "renew_next",
    "renew_slot",
    "replace_adapter",
    "replace_meter",
    "resolve_mismatch",
    "set_periods",
    "set_photo",
    "set_reporting",
    "unpair",
]
