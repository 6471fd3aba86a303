"""The frequency plans by name, and the names other modules need to read one."""

from types import MappingProxyType
from typing import Final

from meterwire.lorawan.eu868 import EU868
from meterwire.lorawan.plan import Channel, DataRate, FrequencyPlanError, Region, SubBand

REGIONS: Final = MappingProxyType({EU868.name: EU868})

__all__ = ["EU868", "REGIONS", "Channel", "DataRate", "FrequencyPlanError", "Region", "SubBand", "by_name"]


def by_name(name: str) -> Region:
    region = REGIONS.get(name)
    if region is None:
        raise FrequencyPlanError(f"no frequency plan '{name:.20}': known are {', '.join(REGIONS)}")
    return region
