"""Two adapters on each other's meters: found out, nothing attributed, swapped, and each proves its meter."""

import asyncio

import pytest

from tests.flows.cellar import Phone, arrived, eventually, house, labels, until
from tests.flows.stand import standing

PERIOD_S = 5.0

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400)]


async def test_adapters_on_each_others_meters_are_found_out_and_swapped() -> None:
    with standing(2, period_s=PERIOD_S, confirm_every=1, paired=0, slots=False) as stand:
        stuck = await asyncio.to_thread(labels, stand)
        phone = await asyncio.to_thread(Phone, stand, "installer")
        operator = await asyncio.to_thread(Phone, stand, "operator")
        one, other = stand.flats
        await stand.ready()
        async with house(stand) as here:
            first = await asyncio.to_thread(phone.pair, stuck[one.dev_eui], other.meters[0][1])
            second = await asyncio.to_thread(phone.pair, stuck[other.dev_eui], one.meters[0][1])
            await stand.ready()  # it knows both: their first request to join is answered
            here.plug_in(one)
            here.plug_in(other)
            for pairing in (first, second):
                found = await eventually(phone, pairing["id"], lambda p: p["identity"] == "mismatch")
                assert found["waiting"]["code"] == "mismatch"
            attributed = "select count(*) from telemetry_reading where metering_point_id is not null"
            await until(lambda: stand.rows("select count(*) from telemetry_reading")[0][0] > 0)  # type: ignore[operator]
            assert stand.rows(attributed)[0][0] == 0, "readings of a mismatch belong to nobody"

            resolve = {"how": "swap", "reason": "the scans were exchanged"}
            status, answer = await asyncio.to_thread(operator.call, f"pairings/{first['id']}/resolve/", resolve)
            assert status == 200, answer
            swapped = (await asyncio.to_thread(operator.call, "pairings/?state=pending"))[1]["results"]
            if not swapped:
                swapped = (await asyncio.to_thread(operator.call, "pairings/?state=confirmed"))[1]["results"]
            for pairing in swapped:
                await eventually(operator, pairing["id"], arrived)
        confirmed = operator.call("pairings/?state=confirmed")[1]["results"]
        assert len(confirmed) == 2
