"""How a backup or a restore refuses."""

from meterwire.errors import MeterspanError


class BackupError(MeterspanError):
    """It cannot be made, or not be restored here; nothing was touched."""

    code = "backup"


class BackupDamaged(BackupError):
    """The file was cut, changed or made with another secret key."""

    code = "backup_damaged"


class RestoreFailed(MeterspanError):
    """The restore broke off after it began; the message tells what is in the database now."""

    code = "restore_failed"
