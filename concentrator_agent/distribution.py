"""Where an authenticated uplink goes, and in what form: to the portal as it came, opened to another target [0239]."""

from typing import Final, NamedTuple

import msgspec

from concentrator_agent.opening import Opened, Opening
from concentrator_agent.radio.base import Reception
from concentrator_agent.server.sessions import Device, Session
from edge.outbox import Entry
from edge.ulids import Ulids
from meterwire import config_records, messages, values_telegram
from meterwire.errors import FormatError
from meterwire.lorawan.crypto import Uplink

KIND: Final = "telegram"
LMN_PORT: Final = 17
COUNTED_PORTS: Final = frozenset({values_telegram.PORT, LMN_PORT})
RESENT_BEHIND: Final = 4096  # so far behind the last inner counter a telegram counts as a gap that was asked for again

_encode = msgspec.json.Encoder().encode


class Route(NamedTuple):
    """`telegram` goes to the portal, sealed as it came; `opened` are its values where the key is shared with us."""

    telegram: Entry
    opened: Opened | None


class Distribution:
    """Makes the outbox entries of one uplink and keeps the inner counter of its session."""

    def __init__(self, ulids: Ulids, opening: Opening) -> None:
        self._ulids = ulids
        self._opening = opening

    def route(self, device: Device, session: Session, copies: list[Reception], fcnt: int, frame: Uplink) -> Route:
        """Moves `session.counter` forward."""
        best = copies[0]
        fport, payload = frame.fport or 0, frame.payload
        counter = None
        if not device.is_foreign:
            if fport in COUNTED_PORTS:
                counter = _restore(session, payload)
            elif fport == config_records.PORT:
                _seed(session, payload)
        telegram = messages.Telegram(
            id=self._ulids(),
            dev_eui=device.dev_eui,
            fport=fport,
            fcnt=fcnt,
            payload=payload,
            rx=_receptions(copies),
            dr=best.dr,
            freq=best.freq,
            received_at=messages.timestamp(best.received_at),
            time_quality=best.time_quality,
            counter=counter,
            epoch=session.epoch,
        )
        opened = None
        if fport == values_telegram.PORT and counter is not None:
            opened = self._opening.open(telegram, counter, best.received_at)
        return Route(Entry(telegram.id, KIND, best.received_at, _encode(telegram)), opened)

    def forget(self, dev_eui: str) -> None:
        """What was routed of this device was not stored."""
        self._opening.forget(dev_eui)


def _restore(session: Session, payload: bytes) -> int | None:
    """The full inner counter (CNT follows HDR on both ports); None while nothing of it is known."""
    if session.counter is None or len(payload) < values_telegram.HEADER_LENGTH:
        return None
    low = int.from_bytes(payload[1:3], "big")
    counter = values_telegram.restore_counter(low, max(0, session.counter - RESENT_BEHIND))
    if counter > 0xFFFFFFFF:
        return None
    session.counter = max(session.counter, counter + 1)
    return counter


def _seed(session: Session, payload: bytes) -> None:
    """The adapter reports its full counter after each join; it never goes back."""
    try:
        records = config_records.decode(payload).records
    except FormatError:
        return
    for record in records:
        if isinstance(record, config_records.CounterReport):
            session.counter = max(session.counter or 0, record.counter)


def _receptions(copies: list[Reception]) -> tuple[messages.Rx, ...]:
    """One entry per gateway, best SNR first."""
    if len(copies) == 1:
        return (messages.Rx(copies[0].gateway, copies[0].rssi, copies[0].snr),)
    best: dict[str, messages.Rx] = {}
    for copy in copies:
        if copy.gateway not in best:
            best[copy.gateway] = messages.Rx(copy.gateway, copy.rssi, copy.snr)
    return tuple(best.values())
