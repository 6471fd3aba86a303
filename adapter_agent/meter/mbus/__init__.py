"""Meter interface `mbus`: meters on a wired M-Bus (EN 13757-2), asked by us as the master of the bus."""

from adapter_agent.meter.mbus.decoder import MbusMeter
from adapter_agent.meter.mbus.master import Master, Station

__all__ = ["Master", "MbusMeter", "Station"]
