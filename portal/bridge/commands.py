"""Brings the device tables of concentrators to the desired revision, and again until they report it."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from meterwire import messages, topics
from meterwire.messages import DevicesCommand, Receipt
from meterwire.time_entries import BeaconEntry, OpenTimeEntry, PlanEntry
from provisioning.fleet.models import Concentrator
from provisioning.fleet.queries import concentrators_behind
from provisioning.keys.device_table import commands, device_change
from provisioning.keys.vault import Vault
from provisioning.slots.closed_time import beacon, open_now
from provisioning.slots.models import SlotPlan

log = logging.getLogger(__name__)

RESEND_S = 30.0
GAP = "revision_gap"


@dataclass
class _Sent:
    """What a concentrator was last sent. `accepted`: it has everything and will report the revision."""

    revision: int
    at: float
    open: set[str] = field(default_factory=set)
    whole_wanted: bool = False
    accepted: bool = False


class Commands:
    """Decides what to send; the bridge sends it. `due` runs in a database thread, `receipt` in the event loop."""

    def __init__(self, vault: Vault, time: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._vault, self._time, self._monotonic = vault, time, monotonic
        self._sent: dict[str, _Sent] = {}

    def due(self) -> list[tuple[str, list[DevicesCommand]]]:
        """(concentrator, messages) for each one that is behind and was not sent the same a moment ago."""
        result = []
        for concentrator in concentrators_behind():
            sent = self._sent.get(concentrator.eui)
            if sent is None or self._is_due(sent, concentrator.desired_revision):
                result.append((concentrator.eui, self._change(concentrator, sent)))
        return result

    def receipt(self, eui: str, receipt: Receipt) -> None:
        """What a concentrator made of its commands."""
        sent = self._sent.get(eui)
        if sent is None:
            return
        for result in receipt.results:
            if result.id not in sent.open:
                continue
            sent.open.discard(result.id)
            if result.code == GAP:
                sent.whole_wanted = True
            elif result.code is not None:
                log.warning(
                    "command refused", extra={"concentrator": eui, "code": result.code, "reason": result.message}
                )
            elif not sent.open:
                sent.accepted = not sent.whole_wanted

    def forget(self, eui: str) -> None:
        """It was not sent after all."""
        self._sent.pop(eui, None)

    def _is_due(self, sent: _Sent, desired: int) -> bool:
        if sent.revision != desired or sent.whole_wanted:
            return True
        return self._monotonic() - sent.at >= RESEND_S * (2 if sent.accepted else 1)

    def _change(self, concentrator: Concentrator, sent: _Sent | None) -> list[DevicesCommand]:
        """The whole table where the concentrator asked for it or runs none, else what changed since its revision."""
        whole = concentrator.running_revision == 0 or (sent is not None and sent.whole_wanted)
        change = device_change(concentrator, None if whole else concentrator.running_revision, self._vault)
        now, plan = self._time(), plan_entry(concentrator)
        parts = commands(change, lambda: messages.ulid(now, secrets.token_bytes(10)), messages.timestamp(now), plan)
        self._sent[concentrator.eui] = _Sent(change.revision, self._monotonic(), {part.id for part in parts})
        return parts


def plan_entry(concentrator: Concentrator) -> PlanEntry | None:
    """How its time is divided; None where nobody was given a slot and nobody set a plan: its own settings hold.

    Read after the revision, as the devices are: what changes in between has its own revision.
    """
    plan = SlotPlan.objects.filter(pk=concentrator.pk).first()
    if plan is None:
        return None
    sent, free = beacon(plan), open_now(plan)
    return PlanEntry(
        None if sent is None else BeaconEntry(sent.frequency_hz, sent.data_rate, sent.period_s, sent.phase_ms),  # type: ignore[arg-type]
        None if free is None else OpenTimeEntry(free.period_s, free.phase_ms, free.length_ms),  # type: ignore[arg-type]
    )


def topic_of(eui: str) -> str:
    """Where a concentrator hears its commands."""
    return topics.topic(eui, topics.DN_COMMAND)
