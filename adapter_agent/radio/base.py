"""What every adapter radio offers, whether its LoRaWAN layer is ours or a modem's."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Protocol

from adapter_agent.durable import Durable
from adapter_agent.radio.phy import Phy
from adapter_agent.radio.settings import Identity
from edge.clock import Clock
from meterwire.errors import MeterspanError


class NotJoined(MeterspanError):
    """The radio has no session with a network yet; it goes on trying to join."""

    code = "not_joined"
    temporary: ClassVar[bool] = True


class PayloadTooLong(MeterspanError):
    """More bytes than one frame carries at the present data rate: send less, see `AdapterRadio.max_payload`."""

    code = "payload_too_long"


class SlotMissed(MeterspanError):
    """The slot has begun before the frame was ready; it was not sent. Send it outside of slots."""

    code = "slot_missed"
    temporary: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Span:
    """What an exchange takes, in seconds from its first symbol: until an answer in the first window, or a bare one in
    the second, is over; and at most, with everything that may come in the second. `windows_s` passes between a frame
    and the end of empty windows. `slow`: the frame takes so long that answers to others would fall into it.
    """

    answered_s: float
    whole_s: float
    windows_s: float = 0.0
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A transmission in a slot: its first symbol leaves at `at` of the monotonic clock, at most `late_s` later.

    On the channel with index `channel` of the frequency plan, at `data_rate`, and not longer than `airtime_s`. `quiet`:
    it asks the network for nothing, because an answer would disturb others.
    """

    at: float
    channel: int
    data_rate: int
    airtime_s: float
    late_s: float = 0.0
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Ear:
    """A receive window that belongs to no uplink: from `at` of the monotonic clock on, `seconds` long."""

    frequency_hz: int
    data_rate: int
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Sent:
    """One uplink and what became of it.

    `acknowledged`: the network confirmed it, which it does only after storing it durably. `end` is the end of its last
    transmission in Unix seconds. `counter` is the inner counter of its payload, for ports 16 and 17. `heard`: any
    authentic downlink came in its windows.
    """

    port: int | None
    payload: bytes
    fcnt: int
    confirmed: bool
    acknowledged: bool
    end: float
    counter: int | None = None
    heard: bool = False


class RadioEvents(Protocol):
    """What a radio reports; called on the event loop, must not block."""

    def joined(self) -> None:
        """A new session has begun."""
        ...

    def time_told(self, unix_s: float, monotonic_s: float) -> None:
        """The network's time was `unix_s` when this machine's monotonic clock stood at `monotonic_s`."""
        ...

    def sending(self, fcnt: int, monotonic_s: float) -> None:
        """The uplink with frame counter `fcnt` began to leave when the monotonic clock stood at `monotonic_s`."""
        ...

    def downlink(self, port: int, payload: bytes) -> None:
        """Application data has come, the outer encryption removed."""
        ...


class AdapterRadio(Protocol):
    """A radio of an adapter. `run` keeps the session and never ends by itself; the other calls need it running."""

    @property
    def epoch(self) -> int:
        """How many sessions there have been; 0 before the first join."""
        ...

    @property
    def max_payload(self) -> int:
        """Bytes that the next frame carries."""
        ...

    @property
    def uncertain(self) -> bool:
        """The network has left the last confirmed uplink unanswered: ask for an answer with the next one, too."""
        ...

    @property
    def asks(self) -> bool:
        """The next uplink that is not `quiet` asks the network for something, even when it is empty."""
        ...

    async def run(self) -> None: ...

    async def ready(self, size: int) -> None:
        """Wait until `size` bytes may be sent at once: there is a session, and the duty cycle allows it."""
        ...

    async def send(
        self,
        port: int | None,
        payload: bytes = b"",
        at: float | None = None,
        confirmed: bool = False,
        planned: Planned | None = None,
    ) -> Sent:
        """Send, now or at the Unix time `at`, with the repetitions that belong to it; no port sends no data.

        `planned`: in a slot, where it is sent once; repetitions of it go out like any other frame.
        Raises NotJoined, PayloadTooLong, SlotMissed, or PhyError when it never left.
        """
        ...

    def carries(self, channel: int, data_rate: int) -> bool:
        """Whether the network listens on the channel with this index, at this data rate. Raises NotJoined."""
        ...

    def allows(self, planned: Planned) -> bool:
        """Whether the duty cycle lets the slot be used. Raises NotJoined."""
        ...

    def room(self, planned: Planned) -> int:
        """The longest payload that fits into the slot, in bytes. Raises NotJoined."""
        ...

    def span(self, size: int) -> Span:
        """What the exchange of a frame with `size` bytes takes. Raises NotJoined."""
        ...

    def keep_clear(self, clear_at: Callable[[float, Span], float]) -> None:
        """Send nothing but what is planned before `clear_at(monotonic time, what the exchange takes)`."""
        ...

    @property
    def listens(self) -> bool:
        """Whether `listen` is possible at all."""
        ...

    async def listen(self, ear: Ear) -> tuple[float, bytes] | None:
        """The frame whose preamble comes in that window, with the monotonic time of its first symbol. Raises PhyError
        where the radio is in use then.
        """
        ...

    def want_time(self) -> None:
        """Ask for the network's time with every uplink until it comes (`RadioEvents.time_told`)."""
        ...

    def airtime(self, size: int) -> float:
        """Seconds on the air of `size` bytes at the present data rate. Raises NotJoined."""
        ...

    def hasten(self, on: bool) -> None:
        """While `on`, somebody waits beside the adapter: join at once and in quick succession, fast and slow data
        rates in turn, and take one unanswered uplink for a lost network until it is heard. No limit of duty cycle or
        back-off is lifted.
        """
        ...

    def close(self) -> None:
        """Save what must survive; `run` has ended."""
        ...


@dataclass(frozen=True, slots=True)
class RadioParts:
    """What a radio is made of, beside its section of the configuration. `phy` is given by simulations only."""

    identity: Identity
    file: Durable
    clock: Clock
    events: RadioEvents
    random: Random
    phy: Phy | None = None


@dataclass(frozen=True, slots=True)
class RadioKind:
    """A kind of radio: the dataclass of its part of [radio], and what makes it of such a section."""

    config: type[Any]
    make: Callable[[Any, RadioParts], AdapterRadio]
