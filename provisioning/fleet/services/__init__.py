"""Every change to the fleet, by noun: permission, change, audit, in one transaction."""

from provisioning.fleet.services.adapters import (
    archive_adapter,
    create_adapter,
    create_adapters,
    move_adapter,
    update_adapter,
)
from provisioning.fleet.services.concentrators import (
    NewConcentrator,
    approve_key,
    archive_concentrator,
    register_concentrator,
    reset_password,
    update_concentrator,
)
from provisioning.fleet.services.meters import (
    archive_metering_point,
    create_metering_point,
    install_meter,
    remove_meter,
    update_metering_point,
)
from provisioning.fleet.services.restore import (
    restore_adapter,
    restore_concentrator,
    restore_metering_point,
    restore_site,
)
from provisioning.fleet.services.revocation import revoke_concentrator
from provisioning.fleet.services.sites import archive_site, create_site, grant_site, update_site, withdraw_site
from provisioning.fleet.services.state import report_state

__all__ = [
    "NewConcentrator",
    "approve_key",
    "archive_adapter",
    "archive_concentrator",
    "archive_metering_point",
    "archive_site",
    "create_adapter",
    "create_adapters",
    "create_metering_point",
    "create_site",
    "grant_site",
    "install_meter",
    "move_adapter",
    "register_concentrator",
    "remove_meter",
    "report_state",
    "reset_password",
    "restore_adapter",
    "restore_concentrator",
    "restore_metering_point",
    "restore_site",
    "revoke_concentrator",
    "update_adapter",
    "update_concentrator",
    "update_metering_point",
    "update_site",
    "withdraw_site",
]
