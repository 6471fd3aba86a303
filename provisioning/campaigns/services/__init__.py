"""Every change to campaigns and deliveries: people plan and steer, the bridge reports, time does the rest."""

from provisioning.campaigns.services.beginning import agreed, begin, ephemeral
from provisioning.campaigns.services.handover import acknowledge, download, prepare_handover, withdraw
from provisioning.campaigns.services.notices import (
    begin_notice,
    notice_answered,
    notice_failed,
    notice_sent,
    notices_due,
    owe_proof,
    owe_revocations,
)
from provisioning.campaigns.services.outcomes import activated, answered, failed, give_up, sent
from provisioning.campaigns.services.planning import plan
from provisioning.campaigns.services.running import cancel, pause, resume, retry, retry_failed
from provisioning.campaigns.services.schedules import end_schedule, schedule
from provisioning.campaigns.services.sequences import SequenceUsedUp, next_seq, seen_seq
from provisioning.campaigns.services.ticking import tick
from provisioning.campaigns.services.turn import due, unanswered

__all__ = [
    "SequenceUsedUp",
    "acknowledge",
    "activated",
    "agreed",
    "answered",
    "begin",
    "begin_notice",
    "cancel",
    "download",
    "due",
    "end_schedule",
    "ephemeral",
    "failed",
    "give_up",
    "next_seq",
    "notice_answered",
    "notice_failed",
    "notice_sent",
    "notices_due",
    "owe_proof",
    "owe_revocations",
    "pause",
    "plan",
    "prepare_handover",
    "resume",
    "retry",
    "retry_failed",
    "schedule",
    "seen_seq",
    "sent",
    "tick",
    "unanswered",
    "withdraw",
]
