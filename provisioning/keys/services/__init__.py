"""Every change to keys: permission, change, audit, in one transaction. Values go in and come out only in an adapter's
key file, wrapped for a recipient, or revealed with a second person's approval.
"""

from provisioning.keys.services.foreign import register_foreign_device
from provisioning.keys.services.handover import KeyFile, hand_over
from provisioning.keys.services.importing import Report, import_key_file
from provisioning.keys.services.issue import (
    NewKey,
    import_keys,
    issue_adapter_keys,
    issue_inner_key,
    issue_key,
    issue_lmn_keys,
    issue_root_key,
    issue_storage_key,
)
from provisioning.keys.services.lifecycle import activate, destroy, heard_under, mark_used, retire, revoke
from provisioning.keys.services.reseal import reseal_step
from provisioning.keys.services.reveal import RevealedKey, reveal
from provisioning.keys.services.revocation import reinstate_adapter, revoke_adapter
from provisioning.keys.services.rewrap import rewrap
from provisioning.keys.services.takein import take_in

__all__ = [
    "KeyFile",
    "NewKey",
    "Report",
    "RevealedKey",
    "activate",
    "destroy",
    "hand_over",
    "heard_under",
    "import_key_file",
    "import_keys",
    "issue_adapter_keys",
    "issue_inner_key",
    "issue_key",
    "issue_lmn_keys",
    "issue_root_key",
    "issue_storage_key",
    "mark_used",
    "register_foreign_device",
    "reinstate_adapter",
    "reseal_step",
    "retire",
    "reveal",
    "revoke",
    "revoke_adapter",
    "rewrap",
    "take_in",
]
