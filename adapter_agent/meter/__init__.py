"""Meter interfaces; a new one is a copied folder and one line in the registry."""

from collections.abc import Mapping
from typing import Final

from adapter_agent.meter.base import MeterFactory, MeterInterface
from adapter_agent.meter.d0 import D0Meter
from adapter_agent.meter.sml import SmlMeter

__all__ = ["INTERFACES", "MeterFactory", "MeterInterface"]

INTERFACES: Final[Mapping[str, MeterFactory]] = {
    "sml": SmlMeter,
    "d0": D0Meter,
}
