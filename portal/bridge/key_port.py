"""Port 34 at the portal: what adapters sent there is kept until it was worked on, and what is due goes out.

A message is in the table before its telegram gets a receipt, and leaves it in the transaction that acts on it: a crash
in between repeats it. So every party must bear to hear the same message twice. A message or a party that fails in a
way nobody foresaw holds up no other one.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

from django.db import InterfaceError, OperationalError, transaction

from meterwire.errors import MeterspanError
from meterwire.key_messages import PORT
from meterwire.messages import DownlinkCommand, Receipt, RekeyCommand
from portal.bridge.models import KeyMail
from portal.telemetry.arrivals import Arrival, moment

log = logging.getLogger(__name__)
T = TypeVar("T")

AT_ONCE: Final = 200
MAX_SURPRISES: Final = 5  # attempts at a message that fails so; then it is dropped: what matters is asked for again
_GONE: Final = (OperationalError, InterfaceError)


class Party(Protocol):
    """Somebody who uses port 34."""

    def takes(self, kind: int) -> bool:
        """Whether messages of that type byte are its own."""

    def take(self, mail: KeyMail, now: datetime) -> None:
        """Act on a message, in a transaction. MeterspanError for one that is worth nothing."""

    def due(self, now: datetime) -> Sequence[tuple[str, DownlinkCommand | RekeyCommand]]:
        """(concentrator, message) to publish now."""

    def receipt(self, eui: str, receipt: Receipt) -> None:
        """What a concentrator made of messages, perhaps of this party's. In the event loop: no database."""


class KeyPort:
    """`turn` runs in a database thread, `receipt` in the event loop."""

    def __init__(self, parties: Sequence[Party]) -> None:
        self._parties = parties
        self._surprises: Counter[str] = Counter()

    def turn(self, time: float) -> list[tuple[str, DownlinkCommand | RekeyCommand]]:
        """Work on what came in, then say what goes out. Raises only what the database raises when it is away."""
        now = datetime.fromtimestamp(time, UTC)
        mails = list(KeyMail.objects.select_related("adapter__organisation")[:AT_ONCE])
        for mail in mails:
            self._work(mail, now)
        waiting = {mail.pk for mail in mails}
        self._surprises = Counter({pk: count for pk, count in self._surprises.items() if pk in waiting})
        return [message for party in self._parties for message in _due(party, now)]

    def receipt(self, eui: str, receipt: Receipt) -> None:
        """Pass a concentrator's receipt on."""
        for party in self._parties:
            party.receipt(eui, receipt)

    def _work(self, mail: KeyMail, now: datetime) -> None:
        party = next((one for one in self._parties if one.takes(bytes(mail.payload)[0])), None)
        try:
            with transaction.atomic():
                if KeyMail.objects.filter(pk=mail.pk).delete()[0] and party is not None:
                    party.take(mail, now)
        except MeterspanError as error:
            log.warning("a key message was refused: %s", error, extra={"adapter": mail.adapter.dev_eui})
            KeyMail.objects.filter(pk=mail.pk).delete()
        except _GONE:
            raise
        except Exception:
            self._surprises[mail.pk] += 1
            log.exception("a key message could not be worked on", extra={"adapter": mail.adapter.dev_eui})
            if self._surprises[mail.pk] >= MAX_SURPRISES:
                KeyMail.objects.filter(pk=mail.pk).delete()


def _due(party: Party, now: datetime) -> Sequence[tuple[str, DownlinkCommand | RekeyCommand]]:
    try:
        return party.due(now)
    except _GONE:
        raise
    except Exception:
        log.exception("messages on port 34 are held up", extra={"party": type(party).__name__})
        return []


def one_by_one(pks: Iterable[int], work: Callable[[int], T | None], set_aside: Callable[[int], object]) -> Iterator[T]:
    """What `work` makes of each row, Nones left out. One that fails in a way nobody foresaw is set aside."""
    for pk in pks:
        try:
            found = work(pk)
        except _GONE:
            raise
        except Exception:
            log.exception("a row of port 34 is set aside", extra={"row": pk})
            set_aside(pk)
            continue
        if found is not None:
            yield found


def deliver(arrivals: Iterable[Arrival]) -> int:
    """Put what came on port 34 into the table, duplicates included: their first coming may not have got that far."""
    rows = [
        KeyMail(
            id=arrival.telegram.id,
            adapter_id=arrival.adapter.pk,
            payload=arrival.telegram.payload,
            received_at=moment(arrival.received_us),
        )
        for arrival in arrivals
        if arrival.telegram.fport == PORT
        and arrival.error is None
        and arrival.adapter is not None
        and not arrival.adapter.foreign
        and arrival.telegram.payload
    ]
    if rows:
        KeyMail.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)
