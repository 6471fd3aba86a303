"""Reads what arrives on a topic: once, bounded, and so that one unreadable telegram does not cost the others."""

from dataclasses import dataclass, field

import msgspec

from meterwire import messages, topics
from meterwire.errors import FormatError, LimitExceeded, UnsupportedVersion
from meterwire.messages import Event, Receipt, State, Telegram


class _Parts(msgspec.Struct):
    telegrams: tuple[msgspec.Raw, ...]


class _Named(msgspec.Struct):
    id: messages.Id


_parts = msgspec.json.Decoder(_Parts)
_named = msgspec.json.Decoder(_Named)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message, or the telegram `id` in it, was not taken."""

    code: str
    message: str
    id: str | None = None


@dataclass(slots=True)
class Mail:
    """One message of the concentrator `eui` (of its topic), read. `kept`: perhaps an old one that the broker kept."""

    eui: str
    telegrams: tuple[Telegram, ...] = ()
    event: Event | None = None
    state: State | None = None
    receipt: Receipt | None = None
    refusals: list[Refusal] = field(default_factory=list)
    kept: bool = False

    @property
    def weight(self) -> int:
        """How much work it is, in telegrams."""
        return max(1, len(self.telegrams))


def read(topic: str, body: bytes) -> Mail:
    """Read a message of one of the upward branches. FormatError for a foreign topic; all else is in `refusals`."""
    eui, branch = topics.parse(topic)
    mail = Mail(eui)
    try:
        if branch == topics.UP_TELEGRAM:
            _read_telegrams(mail, body)
        elif branch == topics.UP_EVENT:
            mail.event = messages.decode_event(body)
        elif branch == topics.STATE:
            mail.state = messages.decode_state(body)
        elif branch == topics.UP_RECEIPT:
            mail.receipt = messages.decode_receipt(body)
        else:
            raise FormatError(f"'{branch}' is no branch that the portal hears")
    except FormatError as error:
        mail.refusals.append(Refusal(error.code, str(error)))
    return mail


def _read_telegrams(mail: Mail, body: bytes) -> None:
    try:
        mail.telegrams = messages.decode_telegrams(body).telegrams
    except (UnsupportedVersion, LimitExceeded):
        raise
    except FormatError:
        mail.telegrams = tuple(_one_by_one(mail, body))
        if not mail.telegrams and not mail.refusals:
            raise


def _one_by_one(mail: Mail, body: bytes) -> list[Telegram]:
    """The readable telegrams of a message that is not readable as a whole; the others become refusals."""
    try:
        parts = _parts.decode(body).telegrams
    except (msgspec.DecodeError, RecursionError):
        return []
    if len(parts) > messages.MAX_TELEGRAMS:
        raise LimitExceeded(f"{len(parts)} telegrams in one message; at most {messages.MAX_TELEGRAMS} are accepted")
    telegrams = []
    for part in parts:
        try:
            telegrams.append(messages.decode_telegram(part))
        except FormatError as error:
            mail.refusals.append(Refusal(error.code, str(error), _id_of(part)))
    return telegrams


def _id_of(part: msgspec.Raw) -> str | None:
    try:
        return _named.decode(part).id
    except (msgspec.DecodeError, RecursionError):
        return None
