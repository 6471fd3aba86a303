"""Over-the-air activation: what a device asks, how often, and which answers it takes (TS001-1.0.4 section 6.2)."""

import logging
from dataclasses import dataclass
from random import Random
from typing import Final

from adapter_agent.radio.base import Span
from adapter_agent.radio.link import Link
from adapter_agent.radio.phy import Heard, Window
from adapter_agent.radio.settings import Identity, MacSettings
from adapter_agent.radio.slotted import is_slow
from adapter_agent.radio.state import RadioState, SessionState
from meterwire.errors import CounterExhausted, FormatError, MicMismatch
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.region import FrequencyPlanError

log = logging.getLogger(__name__)

NONCES: Final = 0x10000
ACCEPT_LENGTH: Final = 33  # octets of a join-accept with a list of channels
FIRST_PAUSE_S: Final = 4.0  # devices that get power together do not ask together
RETRY_S: Final = 8.0
LONGEST_PAUSE_S: Final = 600.0
TRIES_PER_RATE: Final = 2

# In haste: the fastest rate most often, and slow ones early, so that a far adapter gets through too. Eight requests
# take 2.7 s on the air: a quarter of an hour of them stays well below the 36 s of the back-off's first hour.
HASTY_RATES: Final = (5, 2, 0, 5, 3, 5, 2, 5)
HASTY_AT_FIRST: Final = 6
HASTY_PAUSES_S: Final = ((0.0, 0.8), (4.0, 8.0))  # beside the 6 s of the windows: at first, and later

FIRST_WINDOW: Final = 1
MARGIN_DB: Final = 10.0  # what fading asks for above the demodulation floor, as network servers reckon
MARGIN_AFTER_LOSS_DB: Final = 20.0  # a session was lost at some rate: only a very near gateway is believed at once


class NoncesExhausted(CounterExhausted):
    """Every DevNonce of this JoinEUI is used: give the adapter another JoinEUI or root key."""

    code = "nonces_exhausted"


@dataclass(frozen=True, slots=True)
class Request:
    """A join request, ready to send, and the windows in which the answer may come."""

    frame: bytes
    dev_nonce: int
    frequency_hz: int
    data_rate: int
    airtime_s: float
    windows: tuple[Window, Window]
    span: Span


class Joining:
    """Makes requests, slower and rarer the longer nobody answers; all limits are kept over a restart."""

    def __init__(self, identity: Identity, settings: MacSettings, state: RadioState, random: Random) -> None:
        self._identity, self._settings, self._state, self._random = identity, settings, state, random
        self._failures = 0
        self._hasty: int | None = None  # requests since the haste began

    def hasten(self, on: bool) -> None:
        """Ask in quick succession while somebody waits for the session; begins anew with every call."""
        self._hasty = 0 if on else None

    def pause(self) -> float:
        """Seconds to wait before the next request."""
        if self._hasty is not None:
            return self._random.uniform(*HASTY_PAUSES_S[self._hasty >= HASTY_AT_FIRST])
        if not self._failures:
            return self._random.uniform(0.0, FIRST_PAUSE_S)
        longest: float = min(LONGEST_PAUSE_S, RETRY_S * 2 ** min(self._failures - 1, 16))
        return self._random.uniform(longest / 2, longest)

    def request(self, now: float) -> Request:
        """The next request; it may go out only after `commit` and a durable save. Raises NoncesExhausted."""
        nonce = self._state.dev_nonce
        if nonce >= NONCES:
            raise NoncesExhausted("all 65536 DevNonces are used; give the adapter another JoinEUI or root key")
        request = self._request(nonce, self._rate())
        if self._hasty is not None and self.earliest(request, now) > now:  # the air is spent but for the shortest
            request = self._request(nonce, self._settings.data_rate)
        return request

    def _rate(self) -> int:
        if self._hasty is not None:
            return min(self._settings.data_rate, HASTY_RATES[self._hasty % len(HASTY_RATES)])
        return self._settings.data_rate - self._failures // TRIES_PER_RATE % (self._settings.data_rate + 1)

    def _request(self, nonce: int, rate: int) -> Request:
        region = self._settings.region
        frequency = self._random.choice(
            [c for c in region.default_channels if c.min_dr <= rate <= c.max_dr]
        ).frequency_hz
        delay, fast = region.join_accept_delay1_s, region.data_rate(region.rx1_dr(rate, 0))
        frame = self._identity.root.sign_join_request(self._identity.join_eui, self._identity.dev_eui, nonce)
        air, later = airtime_s(len(frame), region.data_rate(rate)), delay + region.rx2_after_rx1_s
        slow = region.data_rate(region.rx2_dr)
        return Request(
            frame,
            nonce,
            frequency,
            rate,
            air,
            (Window(delay, frequency, region.rx1_dr(rate, 0)), Window(later, region.rx2_frequency_hz, region.rx2_dr)),
            Span(
                air + delay + airtime_s(ACCEPT_LENGTH, fast, uplink=False),
                air + later + airtime_s(ACCEPT_LENGTH, slow, uplink=False),
                slow=is_slow(region.data_rate(rate)),
            ),
        )

    def _rate_after(self, request: Request, heard: Heard) -> int:
        """The data rate to begin with: that of the request, or a faster one that the answer's strength allows.

        Requests slow down because nobody serves the device yet, which says nothing about the way to the gateway; at
        the slowest rate the duty cycle would hold an hour's telegrams back. In the first window the answer came at the
        device's own power and on its own channel, so it tells both ways; in the second the gateway may be far louder.
        """
        slowest = min(request.data_rate, self._settings.data_rate)
        if heard.window != FIRST_WINDOW:
            return slowest
        margin = MARGIN_DB if self._state.session is None else MARGIN_AFTER_LOSS_DB
        region = self._settings.region
        for rate in range(self._settings.data_rate, slowest, -1):
            factor = region.data_rate(rate).spreading_factor
            if factor is not None and heard.snr - region.required_snr_db[factor] >= margin:
                return rate
        return slowest

    def earliest(self, request: Request, now: float) -> float:
        """When the duty cycle and the join back-off allow it."""
        return max(
            self._state.backoff.earliest(request.airtime_s, now),
            self._state.ledger.earliest(request.frequency_hz, request.airtime_s, now),
        )

    def commit(self, request: Request, now: float) -> None:
        """Spend the nonce and the air, before the request goes out."""
        self._state.dev_nonce = request.dev_nonce + 1
        self._state.backoff.record(request.airtime_s, now)
        self._failures += 1
        if self._hasty is not None:
            self._hasty += 1

    def failed(self) -> None:
        """It was not sent after all; the radio is at fault and the network is not."""
        self._failures = max(1, self._failures - 1)

    def accept(self, request: Request, heard: Heard | None) -> SessionState | None:
        """The session that an answer begins, the state brought up to date; None for no answer or a wrong one."""
        if heard is None:
            return None
        try:
            answer = self._identity.root.decrypt_join_accept(heard.frame)
            link = Link.accepted(self._settings.region, self._rate_after(request, heard), answer)
        except (FormatError, MicMismatch, FrequencyPlanError) as error:
            log.warning("a join answer was refused: %s", error)
            return None
        if answer.join_nonce <= self._state.join_nonce:
            log.warning("a join answer was refused: its nonce was used before; the network must go on counting")
            return None
        self._state.join_nonce = answer.join_nonce
        self._state.epoch += 1
        self._state.backoff.clear()
        self._failures = 0
        self._hasty = None if self._hasty is None else 0
        keys = self._identity.root.derive(answer.join_nonce, answer.net_id, request.dev_nonce)
        return SessionState(answer.dev_addr, keys, link)
