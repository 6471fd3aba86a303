"""Keeps the concentrator's certificate in force: asks for the first one, renews in time, alarms when that fails."""

import asyncio
import logging
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from concentrator_agent.config import Config, Enrolment
from concentrator_agent.enrolment.due import Due, seconds_until_due, what_is_due
from concentrator_agent.enrolment.identity import Identity
from concentrator_agent.enrolment.password import fresh
from concentrator_agent.enrolment.question import Answer, decode_answer, encode_question, question
from concentrator_agent.enrolment.wallet import Wallet
from edge.clock import Clock
from edge.sealedfile import SealedFileError

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 180.0
RETRY_MIN_S: Final = 5.0
PENDING_S: Final = 60.0  # where the portal names no time
LOOK_AGAIN_S: Final = 600.0  # at the clock, at a new certificate that the broker has not taken yet
ALARM_S: Final = 6 * 3600.0
REST: Final = 1 / 10  # of what is left of a new certificate: so long no other one is asked for
MIN_REST_S: Final = 5.0


class Keeper:
    """`note` makes an event for the portal; `wholes` counts the whole device tables that came since the start."""

    def __init__(
        self,
        config: Config,
        enrolment: Enrolment,
        identity: Identity,
        clock: Clock,
        *,
        rng: random.Random,
        dates_known: Callable[[], bool],
        note: Callable[..., Any],
        reconnect: Callable[[], None],
        wholes: Callable[[], int],
    ) -> None:
        self._config, self._enrolment = config, enrolment
        self._identity = identity
        self._clock = clock
        self._rng = rng
        self._dates_known = dates_known
        self._note = note
        self._reconnect = reconnect
        self._wholes = wholes
        self._wholes_before = wholes()
        self._failures = 0
        self._alarmed_at = -ALARM_S
        self._rests_until = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(await self.turn())

    async def turn(self) -> float:
        """Do what is due now; the seconds until the next look."""
        try:
            return await self._due()
        except (SealedFileError, OSError) as error:
            log.error("the certificate cannot be read or kept", extra={"error": str(error)})
            return LOOK_AGAIN_S

    async def _due(self) -> float:
        wallet = self._identity.look()
        self._look_after(wallet)
        now, dates_known = self._clock.time(), self._dates_known()
        due = what_is_due(wallet, now, dates_known=dates_known, anew=self._new_password(wallet))
        rests = self._rests_until - self._clock.monotonic() if due is Due.RENEWAL else 0.0
        if due is Due.NOTHING or rests > 0:
            return min(LOOK_AGAIN_S, max(1.0, rests, seconds_until_due(wallet, now)))
        wholes = self._wholes()
        answer = await asyncio.to_thread(_ask, encode_question(self._question(now, dates_known)))
        if answer.state == "issued":
            self._wholes_before = wholes
        return self._after(answer)

    def _new_password(self, wallet: Wallet) -> bool:
        try:
            return bool(fresh(self._enrolment.password_file, wallet))
        except SealedFileError:
            return wallet.current is None  # the question then says what is wrong with the file

    def _question(self, now: float, dates_known: bool) -> Any:
        return question(self._config, self._enrolment, dates_known=dates_known, now=now)

    def _after(self, answer: Answer) -> float:
        if answer.state in ("issued", "held"):
            self._failures = 0
            if answer.state == "issued":
                log.info("a new certificate was issued")
                self._note("certificate", reason="issued")
                self._rest(self._identity.look())
                self._reconnect()
            return 1.0
        log.log(
            logging.INFO if answer.state == "pending" else logging.WARNING,
            "no certificate yet" if answer.state == "pending" else "no new certificate",
            extra={"code": answer.code, "reason": answer.message},
        )
        if answer.state == "pending":
            return answer.wait_s or PENDING_S
        self._failures += 1
        return answer.wait_s or self._backoff()

    def _rest(self, wallet: Wallet) -> None:
        """Not the next renewal right away, as when the authority itself ends soon, or the clock is far ahead."""
        newest = wallet.next or wallet.current
        if newest is not None:
            left = newest.not_after - max(self._clock.time(), newest.not_before)
            self._rests_until = self._clock.monotonic() + max(MIN_REST_S, left * REST)

    def _backoff(self) -> float:
        ceiling = min(self._enrolment.retry_max_s, RETRY_MIN_S * 2 ** min(self._failures, 16))
        return self._rng.uniform(min(RETRY_MIN_S, ceiling), ceiling)

    def _look_after(self, wallet: Wallet) -> None:
        if wallet.next is not None and wallet.next.issued and wallet.current is not None:
            self._reconnect()  # the broker did not take it when it was new: once more
        if wallet.previous is not None and wallet.next is None and self._wholes() > self._wholes_before:
            self._identity.forget_previous()
        current = wallet.current
        if current is None or not self._dates_known() or self._clock.time() < current.alarm_at:
            return
        if self._clock.monotonic() - self._alarmed_at >= ALARM_S:
            self._alarmed_at = self._clock.monotonic()
            hours = round((current.not_after - self._clock.time()) / 3600, 1)
            log.error("the certificate is nearly over and could not be renewed", extra={"hours_left": hours})
            self._note("certificate", reason="expiring", hours_left=hours)


def _ask(body: bytes) -> Answer:
    command = [sys.executable, "-m", "concentrator_agent.enrolment.step"]
    try:
        done = subprocess.run(command, input=body, capture_output=True, timeout=TIMEOUT_S, check=False)
        if done.returncode == 0:
            return decode_answer(done.stdout)
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return Answer("failed", None, "process", said[-1][:300] if said else f"ended with {done.returncode}")
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError) as error:
        return Answer("failed", None, "process", f"the process that enrols did not answer ({type(error).__name__})")
