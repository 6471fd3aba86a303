"""Days of an adapter in each state, in a database of its own."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.browser.stage import hashed

OPERATOR = "operator@lindenhof.example"


def seed() -> dict[str, Any]:
    """One day that is really signed, and one of every other state beside it."""
    with tempfile.TemporaryDirectory() as folder:
        return _seeded(Path(folder))


def _seeded(folder: Path) -> dict[str, Any]:
    from portal.days.models import DayState, SignedDay
    from tests.cast import Cast
    from tests.portal.days.signer import DAY_S, Portal, Signer, Watch, hold_transport
    from tests.portal.stage import Stage

    cast = Cast.assemble()
    cast.operator.email = OPERATOR
    cast.operator.password = hashed()
    cast.operator.save()
    stage = Stage(organisation=cast.organisation)
    device = stage.device()
    hold_transport(stage, device)
    portal, today = Portal(stage), datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    signer = Signer(stage, folder / "days", device, clock=Watch(today.timestamp() - 2 * DAY_S))
    portal.hear(signer, *signer.live_a_day())
    portal.hear_uplinks(signer, signer.uplinks())
    row = SignedDay.objects.get(state=DayState.SIGNED)
    for back, state in enumerate(DayState, 1):
        key = {"signing_key": row.signing_key, "verified_at": row.verified_at} if state == DayState.PARTIAL else {}
        if state != DayState.SIGNED:
            SignedDay.objects.create(
                organisation=row.organisation, adapter=row.adapter, day=row.day - timedelta(days=back), state=state,
                leaves=96, missing=3, uncovered=1 if key else 0, changed_at=row.changed_at, **key,
            )  # fmt: skip
    return {"adapter": device.row.pk, "day": str(row.day)}
