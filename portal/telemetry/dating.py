"""When a value was measured and at which metering point.

measured_at = end of reception - airtime - age register (design 5.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from meterwire.errors import FormatError
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.plan import FrequencyPlanError
from meterwire.registers import AGE, IDENTITY, PREVIOUS
from portal.telemetry.arrivals import MICROSECONDS, AdapterRecord, Arrival, Batch, microseconds

if TYPE_CHECKING:
    from portal.telemetry.pipeline import Pipeline

FRAME_OVERHEAD = 13  # PHYPayload minus application payload, without FOpts
MAX_VALUE = (1 << 63) - 1  # what a column holds; no meter counts that far
MAX_AGE_S = 400 * 86_400  # no adapter buffers longer
MAX_LEAD_US = 300 * MICROSECONDS  # further ahead of the portal a concentrator's clock is wrong
MAX_UNTIMED_LAG_US = 7 * 86_400 * MICROSECONDS  # further back, a clock that nothing holds is not believed


def read_times(_: Pipeline, batch: Batch) -> None:
    """The end of reception. Refuses `format` for a day that does not exist; that telegram counts as received now."""
    for arrival in batch.arrivals:
        try:
            arrival.received_us = _parsed(arrival.telegram.received_at)
        except ValueError:
            arrival.received_us, arrival.error = batch.now_us, FormatError.code


def pair_and_date(_: Pipeline, batch: Batch) -> None:
    """Turn values into readings. Refuses `format` for a value or an age that no meter can mean."""
    for arrival in batch.arrivals:
        if arrival.values is None or arrival.adapter is None:
            continue
        telegram = arrival.telegram
        sent = believed(arrival, batch.now_us) - _airtime_us(len(telegram.payload), telegram.dr)
        try:
            arrival.readings = _readings(arrival.values, arrival.adapter, sent)
        except FormatError as error:
            arrival.error = error.code
            continue
        if len(arrival.readings) < len(arrival.values):
            batch.proofs += [
                (arrival, register >> 5, value)
                for register, value in arrival.values
                if register & 31 == IDENTITY and value is not None
            ]


def believed(arrival: Arrival, now_us: int) -> int:
    """The end of reception, or now when the concentrator's clock cannot be right."""
    received = arrival.received_us
    if received > now_us + MAX_LEAD_US:
        return now_us
    if received < now_us - MAX_UNTIMED_LAG_US and arrival.telegram.time_quality == "none":
        return now_us
    return received


def point_at(adapter: AdapterRecord, register: int, us: int) -> int | None:
    """The metering point that the register's input was paired with at a moment."""
    spans = adapter.pairings.get(register >> 5, ())
    return next((point for start, before, point in spans if start <= us < before), None)


def _parsed(text: str) -> int:
    """Of the form that meterwire.messages has checked. ValueError for a day or second that does not exist."""
    seconds = int(text[17:19])
    if seconds > 59:
        raise ValueError("no such second")
    return _minute(text[:16]) + seconds * MICROSECONDS + int(text[20:23]) * 1000


@lru_cache(maxsize=4096)  # telegrams of the same minute come together
def _minute(text: str) -> int:
    return microseconds(datetime.fromisoformat(f"{text}:00+00:00"))


def _readings(
    values: Sequence[tuple[int, int | None]], adapter: AdapterRecord, sent: int
) -> list[tuple[int, int | None, int, int | None]]:
    """One row per register. An input's age, which dates its other values, its identity hash and its previous value
    (index 0, portal.telemetry.recovery) are no rows.
    """
    readings = []
    pairings = adapter.pairings
    for register, value in values:
        index = register & 31
        if index >= AGE or not index:
            if index == AGE:
                return _aged(values, adapter, sent)
            if index in {IDENTITY, PREVIOUS}:
                continue
        if value is not None and value > MAX_VALUE:
            raise FormatError(f"register {register} holds {value}, more than any meter counts")
        point = None
        for start, before, metering_point in pairings.get(register >> 5, ()):
            if start <= sent < before:
                point = metering_point
                break
        readings.append((register, value, sent, point))
    return readings


def _aged(
    values: Sequence[tuple[int, int | None]], adapter: AdapterRecord, sent: int
) -> list[tuple[int, int | None, int, int | None]]:
    ages = {register >> 5: value or 0 for register, value in values if register & 31 == AGE}
    if max(ages.values()) > MAX_AGE_S:
        raise FormatError(f"a reading {max(ages.values())} s old; at most {MAX_AGE_S} are believed")
    readings = []
    for input_ in {register >> 5 for register, _ in values}:
        of_input = [(register, value) for register, value in values if register >> 5 == input_ and register & 31 != AGE]
        readings += _readings(of_input, adapter, sent - ages.get(input_, 0) * MICROSECONDS)
    return readings


@cache  # 243 lengths, 16 data rates
def _airtime_us(payload_length: int, dr: int) -> int:
    try:
        return round(airtime_s(payload_length + FRAME_OVERHEAD, dr) * MICROSECONDS)
    except FrequencyPlanError:
        return 0  # a data rate outside the plan has no known airtime; it is well below a second at all others
