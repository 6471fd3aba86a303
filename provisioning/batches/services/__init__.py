"""Every change to suppliers and batches: upload and check, import in chunks or as a whole, give up."""

from provisioning.batches.services.checking import check
from provisioning.batches.services.generate import MAX_SERIES, create_series
from provisioning.batches.services.importing import cancel, give_up, is_stalled, run, stalled, start
from provisioning.batches.services.suppliers import save_supplier
from provisioning.batches.services.uploading import Preview, look, upload

__all__ = [
    "MAX_SERIES",
    "Preview",
    "cancel",
    "check",
    "create_series",
    "give_up",
    "is_stalled",
    "look",
    "run",
    "save_supplier",
    "stalled",
    "start",
    "upload",
]
