"""What the adapter reports on port 33, and what of it the network has acknowledged."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from adapter_agent import __version__
from adapter_agent.durable import Durable
from meterwire import config_records
from meterwire.config_records import (
    CommissioningReport,
    ConfigurationRefused,
    CounterReport,
    FirmwareReport,
    OwnIdentity,
    ReadIdentity,
    Record,
    Resolution,
    SlotReport,
)
from meterwire.counter import LIMIT
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI

log = logging.getLogger(__name__)

LEAST_ROOM: Final = 36  # bytes: the slowest data rate beside as many MAC answers as a frame takes
FIRMWARE: Final = f"adapter {__version__}"[: config_records.MAX_FIRMWARE]
_SINGLE: Final = (CounterReport.type, CommissioningReport.type)  # once a session, whatever the number is by then


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to tell. `version` of the configuration that runs, `counter` the next inner one, `episode` of the
    commissioning whose `seconds_left` is told, `resolutions` by register number. `slot` is told again each `day`.
    """

    version: int
    counter: int
    identities: Iterable[ReadIdentity] = ()
    resolutions: Mapping[int, int] = ()  # type: ignore[assignment]
    episode: int = 0
    seconds_left: float = 0.0
    refusal: ConfigurationRefused | None = None
    slot: SlotReport | None = None
    day: int = 0


class Registration:
    """Everything is told once per session and configuration, and what changes is told again.

    What has arrived is kept over a power failure, for a session is, too.
    """

    def __init__(self, file: Durable, dev_eui: DevEUI) -> None:
        self._file, self._dev_eui = file, dev_eui
        self._about: tuple[int, int] = (-1, -1)  # session and version that `_told` is about
        self._told: dict[bytes, bytes] = {}
        self._episode = 0
        self._recall()

    def look(self, session: int, version: int) -> bool:
        """Whether session or configuration are others than before: everything has to be told then."""
        if self._about == (session, version):
            return False
        self._about = (session, version)
        self._told.clear()
        self._episode = 0
        return True

    def renew(self) -> None:
        """Tell everything again: the network asked for it by sending what runs already."""
        self._told.clear()
        self._episode = 0

    def forget_refusal(self) -> None:
        """A configuration was refused, perhaps the same one again."""
        self._told.pop(bytes((ConfigurationRefused.type,)), None)

    def due(self, facts: Facts) -> list[Record]:
        """The records still to be told."""
        return [record for record in self._records(facts) if self._told.get(_key(record)) != _value(record, facts.day)]

    def parts(self, facts: Facts, limit: int) -> list[bytes]:
        """The payloads that tell them, each of at most `limit` bytes."""
        records = self.due(facts)
        return config_records.encode(facts.version, records, max(limit, LEAST_ROOM)) if records else []

    def arrived(self, part: bytes, episode: int, day: int = 0) -> None:
        """A payload has been acknowledged; `episode` and `day` as in the facts that it was made of."""
        for record in config_records.decode(part).records:
            if isinstance(record, CommissioningReport):
                self._episode = episode
            self._told[_key(record)] = _value(record, day)
        self._remember()

    def _records(self, facts: Facts) -> Iterable[Record]:
        yield CounterReport(min(facts.counter, LIMIT - 1))
        yield FirmwareReport(FIRMWARE)
        yield OwnIdentity(self._dev_eui)
        yield from facts.identities
        if facts.refusal is not None:
            yield facts.refusal
        if facts.slot is not None:
            yield facts.slot
        if facts.seconds_left > 0:
            if facts.episode != self._episode:
                self._told.pop(bytes((CommissioningReport.type,)), None)
            yield CommissioningReport(min(round(facts.seconds_left), 0xFFFF))
        for number, exponent in dict(facts.resolutions).items():
            yield Resolution(number, exponent)

    def _remember(self) -> None:
        kept = {key.hex(): value.hex() for key, value in self._told.items() if key[0] != CommissioningReport.type}
        content = {"session": self._about[0], "version": self._about[1], "told": kept}
        try:
            self._file.write(msgspec.json.encode(content))
        except MeterspanError as error:  # it will be told once more after a restart, and no harm is done
            log.warning("what has been reported cannot be kept: %s", error)

    def _recall(self) -> None:
        try:
            content = self._file.read()
            if content is not None:
                held = msgspec.json.decode(content, type=_Held)
                self._told = {bytes.fromhex(key): bytes.fromhex(value) for key, value in held.told.items()}
                self._about = (held.session, held.version)
        except (MeterspanError, msgspec.DecodeError, ValueError):
            log.warning("what was reported before is not known any more; it is reported again")


class _Held(msgspec.Struct):
    session: int
    version: int
    told: dict[str, str]


def _key(record: Record) -> bytes:
    match record:
        case ReadIdentity():
            return bytes((record.type, record.input))
        case Resolution():
            return bytes((record.type, record.register))
    return bytes((record.type,))


def _value(record: Record, day: int) -> bytes:
    if isinstance(record, SlotReport):  # rate and uncertainty are never the same: they are told along, once a day
        return record.version.to_bytes(2) + bytes((record.state,)) + day.to_bytes(4, signed=True)
    return b"" if record.type in _SINGLE else record.encode()
