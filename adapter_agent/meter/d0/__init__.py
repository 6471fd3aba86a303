"""Meter interface `d0`: the ASCII telegrams of IEC 62056-21 (mode D pushes, mode C answers) and of DSMR."""

from adapter_agent.meter.d0.decoder import D0Meter

__all__ = ["D0Meter"]
