"""Explains the records of port 33: every field by name, identities also as the meter they name."""

from dataclasses import asdict

from meterwire import config_records as records
from meterwire.explain.context import Explanation
from meterwire.identity import meter_of
from meterwire.registers import REGISTERS, split_number
from meterwire.slots import FREQUENCIES_HZ


def explain(record: records.Record) -> Explanation:
    """One record as JSON: `type`, `name` (None for an unknown one), then `value` or its fields."""
    return {"type": f"0x{record.type:02X}"} | _fields(record)


def _fields(record: records.Record) -> Explanation:
    match record:
        case records.MeterIdentity(input, octets):
            return {"name": "meter identity", "input": input} | _identity(octets)
        case records.Reporting(period_s):
            return {"name": "reporting period", "value": period_s, "unit": "s"}
        case records.Registers(input, indexes):
            return {"name": "registers", "input": input, "value": [REGISTERS[index].obis for index in indexes]}
        case records.Commissioning(minutes):
            return {"name": "commissioning", "value": minutes, "unit": "min"}
        case records.CounterReport(counter):
            return {"name": "counter", "value": counter}
        case records.FirmwareReport(version):
            return {"name": "firmware", "value": version}
        case records.OwnIdentity(dev_eui):
            return {"name": "own identity", "value": str(dev_eui)}
        case records.ReadIdentity(input, kind, octets):
            return {"name": "identity read", "input": input, "kind": _KINDS[records.IdentityKind(kind)]} | _identity(
                octets
            )
        case records.Resolution(register, exponent):
            return {"name": "resolution"} | _resolution(register, exponent)
        case records.CommissioningReport(seconds_left):
            return {"name": "commissioning left", "value": seconds_left, "unit": "s"}
        case records.ConfigurationRefused(version, record_type, reason):
            refused = {"version": version, "record_type": f"0x{record_type:02X}", "reason": reason}
            return {"name": "configuration refused"} | refused
        case records.SlotRecord(slot):
            return {"name": "slot", "frequency_hz": FREQUENCIES_HZ[slot.channel]} | asdict(slot)
        case records.BeaconRecord():
            return {"name": "beacon"} | asdict(record)
        case records.PreviousRecord(carried):
            return {"name": "previous value", "value": carried}
        case records.OpenTimeRecord(period_s, phase_ms, length_ms):
            return {"name": "open time", "period_s": period_s, "phase_ms": phase_ms, "length_ms": length_ms}
        case records.SlotReport(version, state, rate_ppb, uncertainty_ms):
            clock = {"rate_ppb": rate_ppb, "uncertainty_ms": uncertainty_ms}
            return {"name": "slot report", "version": version, "state": _STATES[state]} | clock
        case _:
            return {"name": None, "value": record.encode().hex()}


_KINDS = {
    records.IdentityKind.NONE: "the meter tells nothing",
    records.IdentityKind.SERVER_ID: "SML server id",
    records.IdentityKind.TEXT: "text",
}

_STATES = {
    records.SlotState.IN_SLOT: "sends in the slot",
    records.SlotState.NONE: "has no slot",
    records.SlotState.NO_TRUST: "does not trust its clock",
    records.SlotState.REFUSED: "refused the slot",
}


def _identity(octets: bytes) -> Explanation:
    meter = meter_of(octets)
    shown: Explanation = {"value": octets.hex().upper(), "meter_id": None if meter is None else str(meter)}
    if octets and octets.isascii() and octets.decode("ascii").isprintable():
        shown["text"] = octets.decode("ascii")
    return shown


def _resolution(number: int, exponent: int) -> Explanation:
    index, input_ = split_number(number)
    register = REGISTERS[index]
    return {"register": register.obis, "input": input_, "exponent": exponent, "unit": register.unit}
