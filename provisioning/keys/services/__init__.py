"""Every change to keys: permission, change, audit, in one transaction. Values go in and never come out here,
except into an adapter's key file.
"""

from provisioning.keys.services.foreign import register_foreign_device
from provisioning.keys.services.handover import KeyFile, hand_over
from provisioning.keys.services.issue import (
    NewKey,
    import_keys,
    issue_adapter_keys,
    issue_inner_key,
    issue_key,
    issue_root_key,
    issue_storage_key,
)
from provisioning.keys.services.lifecycle import activate, destroy, heard_under, mark_used, retire, revoke
from provisioning.keys.services.reseal import reseal_step
from provisioning.keys.services.takein import take_in

__all__ = [
    "KeyFile",
    "NewKey",
    "activate",
    "destroy",
    "hand_over",
    "heard_under",
    "import_keys",
    "issue_adapter_keys",
    "issue_inner_key",
    "issue_key",
    "issue_root_key",
    "issue_storage_key",
    "mark_used",
    "register_foreign_device",
    "reseal_step",
    "retire",
    "revoke",
    "take_in",
]
