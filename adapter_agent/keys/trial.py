"""The trial of a new key: it seals, and unless its partner proves in time that it hears it, the old one seals again."""

import logging
from dataclasses import replace
from typing import Final

from adapter_agent.keys.ring import KeyRing
from adapter_agent.keys.uplinks import KeyUplinks
from meterwire.errors import MeterspanError
from meterwire.keymemory import KeyEntry, Standing

log = logging.getLogger(__name__)

TELEGRAMS: Final = 8
SECONDS: Final = 86_400.0  # both must be over: a seldom telegram needs days, a frequent one the partner's night


class Trial:
    """When a trial began is kept over a restart; its telegrams are counted anew, to spare the flash."""

    def __init__(self, ring: KeyRing, uplinks: KeyUplinks) -> None:
        self._ring, self._uplinks = ring, uplinks
        self._sealed: dict[int, int] = {}  # slot to telegrams

    def sealed(self, entry: KeyEntry, now: float) -> None:
        """A telegram was sealed with `entry` at `now` (Unix seconds)."""
        if entry.standing is not Standing.TRIAL:
            return
        since = self._ring.holding.trials.get(entry.slot)
        if since is None:
            self._begin(entry, now)
            return
        self._sealed[entry.slot] = self._sealed.get(entry.slot, 0) + 1
        if self._sealed[entry.slot] >= TELEGRAMS and now - since >= SECONDS:
            self._fall_back(entry)

    def _begin(self, entry: KeyEntry, now: float) -> None:
        self._sealed[entry.slot] = 1
        holding = self._ring.holding
        try:
            self._ring.change(replace(holding, trials={**holding.trials, entry.slot: now}))
        except MeterspanError as error:  # the trial begins with a later telegram
            log.warning("the trial of a key cannot be kept: %s", error, extra={"slot": entry.slot})
        else:
            log.info("a new key seals, on trial", extra={"slot": entry.slot, "partner": entry.partner})

    def _fall_back(self, entry: KeyEntry) -> None:
        memory = self._ring.holding.memory()
        memory.fall_back(entry.slot)
        try:
            self._ring.change(self._ring.holding.remembering(memory))
        except MeterspanError as error:
            log.warning("the end of a trial cannot be kept: %s", error, extra={"slot": entry.slot})
            return
        del self._sealed[entry.slot]
        log.error(
            "the partner has not proved that it hears the new key: an older one seals again where there is one",
            extra={"alarm": "key_fall_back", "slot": entry.slot, "partner": entry.partner},
        )
        for partner in self._ring.holding.partners:
            if partner.is_portal or partner.name == entry.partner:
                self._uplinks.report(partner.slot)
