"""Meter interfaces; a new one is a copied folder and one line in the registry."""

from collections.abc import Callable, Mapping
from typing import Final

from adapter_agent.meter.base import MeterFactory, MeterInterface
from adapter_agent.meter.d0 import D0Meter
from adapter_agent.meter.installation import Installation
from adapter_agent.meter.mbus import MbusMeter
from adapter_agent.meter.sml import SmlMeter
from adapter_agent.meter.wmbus import WmbusMeter

__all__ = ["INTERFACES", "Installation", "MeterFactory", "MeterInterface", "decoder"]

INTERFACES: Final[Mapping[str, MeterFactory]] = {
    "sml": SmlMeter,
    "d0": D0Meter,
    "mbus": MbusMeter,
    "wmbus": WmbusMeter,
}
_ENCRYPTING: Final[Mapping[str, Callable[[Installation], MeterInterface]]] = {"mbus": MbusMeter, "wmbus": WmbusMeter}


def decoder(interface: str, installation: Installation) -> MeterInterface:
    """A decoder of one of INTERFACES, for a meter that may encrypt by itself also with what opens its telegrams."""
    encrypting = _ENCRYPTING.get(interface)
    return INTERFACES[interface]() if encrypting is None else encrypting(installation)
