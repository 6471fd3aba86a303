"""The stations of a pairing: each written once, with its time."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from provisioning.pairing.models import Pairing, PairingStep

MAX_DETAIL = 12
_OF_THE_ADAPTER = (PairingStep.Step.INFORMED, PairingStep.Step.JOINED)


def record_step(pairing_id: int, step: str, at: datetime, detail: dict[str, Any] | None = None) -> bool:
    """For the bridge: `step` was reached at `at`; False when it had been before. `detail` is small and flat."""
    made = PairingStep.objects.get_or_create(
        pairing_id=pairing_id, step=PairingStep.Step(step), defaults={"at": at, "detail": _flat(detail or {})}
    )
    return made[1]


def begin(pairing: Pairing, at: datetime, claimed: dict[str, Any], paired: dict[str, Any]) -> None:
    """The two stations that a new pairing has already passed."""
    steps = PairingStep.Step
    _add(pairing, [(steps.CLAIMED, at, claimed), (steps.PAIRED, at, paired)])


def inherit(pairing: Pairing, old: Pairing) -> None:
    """A pairing that follows on `old` with the same adapter: what the adapter had reached stays reached."""
    reached = PairingStep.objects.filter(pairing=old, step__in=_OF_THE_ADAPTER)
    _add(pairing, [(row.step, row.at, row.detail) for row in reached])


def forget(pairing: Pairing, *steps: str) -> None:
    """These stations have to be reached anew."""
    PairingStep.objects.filter(pairing=pairing, step__in=steps).delete()


def _add(pairing: Pairing, reached: Iterable[tuple[str, datetime, dict[str, Any]]]) -> None:
    PairingStep.objects.bulk_create(
        PairingStep(pairing=pairing, step=step, at=at, detail=_flat(detail)) for step, at, detail in reached
    )


def _flat(detail: dict[str, Any]) -> dict[str, Any]:
    kept = list(detail.items())[:MAX_DETAIL]
    return {name: value if isinstance(value, int | float | None) else str(value)[:80] for name, value in kept}
