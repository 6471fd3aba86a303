"""Every change to slots: permission, change, audit, in one transaction, under the locks of the concentrators."""

from provisioning.slots.services.assigning import assign, change_rate, put, release, take_back
from provisioning.slots.services.echoes import echoed
from provisioning.slots.services.handing_on import hand_on
from provisioning.slots.services.many import MAX_AT_ONCE, assign_many
from provisioning.slots.services.needs import slowest_rate
from provisioning.slots.services.neighbours import heard_by
from provisioning.slots.services.plans import plan_of, set_plan
from provisioning.slots.services.rates import note_margin, propose

__all__ = [
    "MAX_AT_ONCE",
    "assign",
    "assign_many",
    "change_rate",
    "echoed",
    "hand_on",
    "heard_by",
    "note_margin",
    "plan_of",
    "propose",
    "put",
    "release",
    "set_plan",
    "slowest_rate",
    "take_back",
]
