"""A day of sealed readings and an operator, in a database of its own."""

from datetime import timedelta
from typing import Any

from tests.browser.stage import hashed

OPERATOR = "operator@lindenhof.example"
CANARY = 0x0B1D_2A3F_4C5E  # no other six bytes in a database are these
EVERY = timedelta(minutes=15)
COUNT = 96


def seed() -> dict[str, Any]:
    from django.utils import timezone

    from meterwire.messages import timestamp
    from tests.cast import Cast
    from tests.portal.stage import Stage
    from tests.portal.telemetry.sealed_stage import keep_sealed

    cast = Cast.assemble()
    cast.operator.email = OPERATOR
    cast.operator.password = hashed()
    cast.operator.save()
    stage = Stage(organisation=cast.organisation)
    keep_sealed(stage)
    device, now = stage.device(), timezone.now()
    times = [now - EVERY * back for back in reversed(range(COUNT))]
    telegrams = [
        device.telegram((1, CANARY + 100 * number), received_at=timestamp(at.timestamp()))
        for number, at in enumerate(times)
    ]
    for first in range(0, COUNT, 48):
        stage.run(*telegrams[first : first + 48], now=now.timestamp())
    return {"adapter": device.row.pk}
