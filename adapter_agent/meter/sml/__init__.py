"""Meter interface `sml`: the push telegrams of German electricity meters (SML 1.04, BSI TR-03109-1)."""

from adapter_agent.meter.sml.decoder import SmlMeter

__all__ = ["SmlMeter"]
