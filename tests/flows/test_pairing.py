"""Pairing as it happens in a cellar: adapters are plugged in, a phone sends what it scanned, first readings arrive."""

import asyncio

import pytest

from tests.flows.cellar import Phone, eventually, house, labels, read
from tests.flows.stand import standing

PERIOD_S = 15.0
GATEWAYS = 3  # all twelve ask at once, again and again, and each wants its answers soon

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400)]


async def test_twelve_adapters_are_paired_and_twelve_first_readings_arrive() -> None:
    with standing(12, period_s=PERIOD_S, confirm_every=1, paired=0, gateways=GATEWAYS) as stand:
        stuck = await asyncio.to_thread(labels, stand)
        phone = await asyncio.to_thread(Phone, stand, "installer")
        await stand.ready()
        async with house(stand) as here:
            pairings: list[int] = []
            for number, flat in enumerate(stand.flats):
                here.plug_in(flat)
                if number == 3:
                    stand.parts["concentrator"].kill()  # off during pairing
                if number == 6:
                    await asyncio.to_thread(stand.parts["concentrator"].start)
                    stand.parts["bridge"].kill()  # the portal restarts in mid-pairing
                if number == 9:
                    await asyncio.to_thread(stand.parts["bridge"].start)
                for input_, (_, meter) in enumerate(flat.meters):
                    answer = await asyncio.to_thread(phone.pair, stuck[flat.dev_eui], meter, input_)
                    pairings.append(answer["id"])
            await here.pull(stand.flats[-1])  # reset in mid-configuration
            here.plug_in(stand.flats[-1])
            found = [await eventually(phone, pairing, read) for pairing in pairings]
            silent = [one for one in found if one["identity"] == "unreadable"]
            for one in silent:  # an old meter names itself by nothing that stands on its face: a person compares
                assert one["waiting"]["code"] == "unreadable"
                status, answer = await asyncio.to_thread(
                    phone.call, f"pairings/{one['id']}/confirm/", {"reason": "the display shows the same"}
                )
                assert status == 200, answer
            found = [await asyncio.to_thread(phone.progress, pairing) for pairing in pairings]

        assert len(pairings) == 13  # one adapter reads two meters
        assert len(silent) == 1
        assert [one["identity"] for one in found].count("match") == 12
        assert {one["state"] for one in found} == {"confirmed"}
        for one in found:
            steps = {step["step"]: step["at"] for step in one["steps"]}
            assert all(steps.values()), steps
            assert one["reading"]["unit"]
        assert stand.rows("select count(*) from telemetry_reading where metering_point_id is null")[0][0] == 0
