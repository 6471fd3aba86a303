"""Simulated meters: one that counts a load and says so in a maker's own words, and one that repeats a capture."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Protocol

from adapter_agent.simulation import sml_encoder as sml
from adapter_agent.simulation.load import EPOCH
from adapter_agent.simulation.measurement import Mains
from adapter_agent.simulation.noise import uniform
from adapter_agent.simulation.shapes import WH, Row, Shape, TimeForm
from edge.clock import Clock
from meterwire.ids import MeterId

BAUD: Final = 9600
BITS_PER_OCTET: Final = 10  # 8N1
CHUNK: Final = 64  # octets written at once: a reader sees telegrams in pieces, as from a serial port
KILO: Final = 3


class Line(Protocol):
    """Where a meter's octets go. Writing never waits and never fails: a wire does not know who listens."""

    def write(self, data: bytes) -> None: ...


class Meter(Protocol):
    """Something that pushes a telegram now and then."""

    @property
    def period_s(self) -> float: ...

    def telegram(self, unix: float) -> bytes:
        """The octets pushed at that instant."""


class SimulatedMeter:
    """A meter of one shape on one supply. `pin` tells whether its PIN was entered: without, only whole kWh show.

    Not `named`: it never says which meter it is, neither as server id nor as a register.
    """

    def __init__(
        self,
        shape: Shape,
        identity: MeterId,
        mains: Mains,
        *,
        pin: bool = True,
        named: bool = True,
        period_s: float | None = None,
    ) -> None:
        self.shape = shape
        self.named = named
        self.server_id = server_id(shape, identity)
        self.pin = pin
        self.period_s = period_s or shape.period_s
        self._mains = mains
        self._installed = EPOCH + int(10_000_000 * uniform(identity.number, "installed"))
        self._public_key = b"".join(
            int(2**52 * uniform(identity.number, "key", part)).to_bytes(8, "big") for part in range(6)
        )

    def telegram(self, unix: float) -> bytes:
        """One whole transport frame: open, list, close."""
        shape = self.shape
        count = int((unix - EPOCH) / self.period_s)
        bodies = (
            (sml.OPEN_RESPONSE, self._open(unix, count)),
            (sml.GET_LIST_RESPONSE, self._list(unix)),
            (sml.CLOSE_RESPONSE, sml.sequence((sml.ABSENT,))),
        )
        messages = b"".join(
            sml.message(
                _number(3 * count * shape.transaction_rises + place, shape.transaction_width),
                kind,
                body,
                shape.checksum,
                kind_width=shape.kind_width,
                shortened_checksum=shape.shortened_checksum,
            )
            for place, (kind, body) in enumerate(bodies, 1)
        )
        return sml.transport(messages, shape.checksum)

    def values(self, unix: float) -> dict[str, Decimal]:
        """What a reader must find in the telegram of that instant: OBIS text to exact value."""
        found = {}
        for row in self._rows():
            if self._text(row) is None:
                raw, scaler = self._raw(row, unix)
                found["{}-{}:{}.{}.{}*{}".format(*row.obis)] = Decimal(f"{raw}E{scaler or 0}")
        return found

    def _rows(self) -> Iterator[Row]:
        return (
            row
            for row in self.shape.rows
            if (self.pin or row.locked != "hidden") and (self.named or row.quantity != "server_id")
        )

    def _open(self, unix: float, count: int) -> bytes:
        shape = self.shape
        return sml.sequence(
            (
                sml.ABSENT,
                sml.octets(shape.client_id),
                sml.octets(_number(count, shape.file_id_width)),
                sml.octets(self.server_id if self.named else b""),
                self._time("choice" if shape.open_time else "absent", unix),
                sml.ABSENT if shape.sml_version is None else sml.unsigned(shape.sml_version),
            )
        )

    def _list(self, unix: float) -> bytes:
        shape = self.shape
        return sml.sequence(
            (
                sml.octets(shape.client_id),
                sml.octets(self.server_id if self.named else b""),
                sml.octets(shape.list_name),
                self._time(shape.sensor_time, unix),
                sml.sequence([self._row(row, unix) for row in self._rows()]),
                sml.ABSENT,
                sml.ABSENT,
            )
        )

    def _row(self, row: Row, unix: float) -> bytes:
        text = self._text(row)
        dated = row.unit == WH or not self.shape.void_time
        scaler = row.scaler
        if text is not None:
            value = sml.octets(text)
        else:
            raw, scaler = self._raw(row, unix)
            value = _encoded(raw, row)
        return sml.sequence(
            (
                sml.octets(row.obis),
                sml.unsigned(self._status(unix), row.status) if row.status else sml.ABSENT,
                self._time(row.time, unix if dated else None),
                sml.ABSENT if row.unit is None else sml.unsigned(row.unit),
                sml.ABSENT if scaler is None else sml.signed(scaler),
                value,
                sml.ABSENT,
            )
        )

    def _text(self, row: Row) -> bytes | None:
        texts = {
            "maker": self.shape.maker.encode(),
            "server_id": self.server_id,
            "public_key": self._public_key,
            "firmware": self.shape.firmware,
            "firmware_check": b"A01A",
        }
        return texts.get(row.quantity)

    def _raw(self, row: Row, unix: float) -> tuple[int, int | None]:
        """The integer as sent and its scaler; rounded towards zero, as registers do."""
        if row.quantity == "status":
            return self._status(unix), None
        scaler = KILO if row.locked == "kilo" and not self.pin else row.scaler or 0
        thousandths = self._mains.number(row.quantity, unix)
        if scaler < -3:
            return thousandths * 10 ** (-3 - scaler), scaler
        amount = abs(thousandths) // 10 ** (3 + scaler)
        return (amount if thousandths >= 0 else -amount), scaler

    def _status(self, unix: float) -> int:
        status = self.shape.status
        return status.feeding if self._mains.feeding(unix) else status.drawing

    def _time(self, form: TimeForm, unix: float | None) -> bytes:
        """Seconds since the meter was installed; None is the zero that DZG sends where there is nothing to date."""
        if form == "absent":
            return sml.ABSENT
        seconds = sml.unsigned(0) if unix is None else sml.unsigned(max(0, int(unix) - self._installed), 4)
        return seconds if form == "bare" else sml.sequence((sml.unsigned(1), seconds))


class CapturedMeter:
    """Repeats the telegrams of a capture (any push protocol with SML's start sequence) one by one, for ever."""

    def __init__(self, capture: bytes, period_s: float = 2.0) -> None:
        self.period_s = period_s
        self._telegrams = split(capture)
        if not self._telegrams:
            raise ValueError("the capture holds no SML start sequence")

    def telegram(self, unix: float) -> bytes:
        """The next telegram of the capture; which one follows from the time, so that a restart goes on."""
        return self._telegrams[int(unix / self.period_s) % len(self._telegrams)]


async def speak(meter: Meter, line: Line, clock: Clock) -> None:
    """Push the meter's telegrams into `line` at the speed of its optical interface, until cancelled.

    A telegram is begun at every multiple of the meter's period since the start of this call.
    """
    begun = clock.monotonic()
    count = 0
    while True:
        data = meter.telegram(clock.time())
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            line.write(chunk)
            await clock.sleep(len(chunk) * BITS_PER_OCTET / BAUD)
        # A telegram longer than the period, or a machine that slept, skips beats instead of piling them up.
        count = max(count + 1, int((clock.monotonic() - begun) / meter.period_s) + 1)
        await clock.sleep(begun + count * meter.period_s - clock.monotonic())


def server_id(shape: Shape, identity: MeterId) -> bytes:
    """The server id in the shape's form. Type 06 holds a longer number and does not map back to a DIN identity."""
    octets = identity.server_id()
    if shape.server_id_type == 0x06:
        return bytes((0x06,)) + identity.maker.encode() + b"\x01" + identity.number.to_bytes(5, "big")
    return bytes((shape.server_id_type,)) + octets[1:]


def split(capture: bytes) -> list[bytes]:
    """A capture cut at each start sequence; what comes before the first one is dropped."""
    pieces = capture.split(sml.START)
    return [sml.START + piece for piece in pieces[1:]]


def _encoded(raw: int, row: Row) -> bytes:
    if row.form == "unsigned-as-signed":
        return sml.unsigned_as_signed(raw)
    return (sml.signed if row.form == "signed" else sml.unsigned)(raw, row.width or None)


def _number(value: int, width: int) -> bytes:
    return (value % (1 << 8 * width)).to_bytes(width, "big")
