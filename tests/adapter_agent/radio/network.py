"""The other side of the air, small enough to read: a network that joins one device and answers what a test tells it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from adapter_agent.radio.phy import Exchange, Heard, PhyError, Window
from edge.clock import ManualClock
from meterwire.ids import DevEUI, JoinEUI
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.crypto import RootKey, Session, Uplink
from meterwire.lorawan.frame import JoinAccept, MType
from meterwire.lorawan.mac_commands import MacCommand, encode_commands, parse_commands

DEV_EUI, JOIN_EUI = DevEUI.parse("70b3d57ed0061234"), JoinEUI.parse("70b3d57ed0000001")
ROOT = RootKey(bytes(range(16)))
DEV_ADDR = 0x26011234


@dataclass
class Heard1:
    """One uplink as the network heard it."""

    at: float
    frequency_hz: int
    dr: int
    power_dbm: int
    windows: Sequence[Window]
    frame: bytes
    fcnt: int = -1
    uplink: Uplink | None = None
    commands: list[MacCommand] = field(default_factory=list)


class Network:
    """A Phy whose far end is one simple network server on the same clock.

    `deaf` hears nothing, `mute` answers nothing, `broken` cannot send at all. `reply` of the next data uplinks are
    the keyword arguments of `down`, used up one by one; without one, confirmed uplinks get an ACK and no more.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.deaf = self.mute = self.broken = False
        self.snr, self.window = 7.0, 1  # of what the device hears
        self.accept = JoinAccept(0, 0x13, DEV_ADDR)
        self.join_nonce = 0
        self.joins: list[Heard1] = []
        self.nonces: list[int] = []
        self.uplinks: list[Heard1] = []
        self.replies: list[dict] = []
        self.session: Session | None = None
        self.next_up = self.next_down = 0
        self.on_air: Callable[[], Awaitable[None]] | None = None

    async def exchange(self, frame, *, freq_hz, dr, power_dbm, windows) -> Exchange:
        if self.broken:
            raise PhyError("the aerial is off")
        start = self.clock.time()
        await self.clock.sleep(airtime_s(len(frame), dr))
        end = self.clock.time()
        heard = Heard1(end, freq_hz, dr, power_dbm, tuple(windows), frame)
        answer = None if self.deaf else self.hear(heard)
        if answer is None or self.mute:
            await self.clock.sleep(windows[-1].after_s + 0.1)
            return Exchange(start, end, None)
        down, number = answer
        number = self.window if heard.frame[0] >> 5 == MType.JOIN_REQUEST else number
        window = windows[number - 1]
        await self.clock.sleep(window.after_s + airtime_s(len(down), window.dr, uplink=False))
        return Exchange(start, end, Heard(down, number, -80.0, self.snr))

    def hear(self, heard: Heard1) -> tuple[bytes, int] | None:
        if heard.frame[0] >> 5 == MType.JOIN_REQUEST:
            return self.hear_join(heard)
        return self.hear_data(heard)

    def hear_join(self, heard: Heard1) -> tuple[bytes, int] | None:
        request = ROOT.verify_join_request(heard.frame)
        assert (request.dev_eui, request.join_eui) == (DEV_EUI, JOIN_EUI)
        assert request.dev_nonce not in self.nonces, "a DevNonce was used twice"
        self.joins.append(heard)
        self.nonces.append(request.dev_nonce)
        if self.mute:
            return None
        self.join_nonce += 1
        fields = {
            name: getattr(self.accept, name)
            for name in ("net_id", "dev_addr", "rx1_dr_offset", "rx2_dr", "rx_delay", "cflist")
        }
        accept = JoinAccept(self.join_nonce, **fields)
        self.session = Session(ROOT.derive(accept.join_nonce, accept.net_id, request.dev_nonce), accept.dev_addr)
        self.next_up = self.next_down = 0
        return ROOT.encrypt_join_accept(accept), 1

    def hear_data(self, heard: Heard1) -> tuple[bytes, int] | None:
        low = int.from_bytes(heard.frame[6:8], "little")
        heard.fcnt = self.next_up + ((low - self.next_up) & 0xFFFF)
        if self.uplinks and heard.frame == self.uplinks[-1].frame:
            heard.fcnt = self.uplinks[-1].fcnt
        heard.uplink = self.session.open_uplink(heard.frame, heard.fcnt)
        stream = heard.uplink.payload if heard.uplink.fport == 0 else heard.uplink.fopts
        heard.commands, rest = parse_commands(stream, uplink=True)
        assert rest == b""
        self.next_up = heard.fcnt + 1
        self.uplinks.append(heard)
        if self.replies:
            return self.down(**self.replies.pop(0))
        return self.down(ack=True) if heard.uplink.confirmed else None

    def down(
        self,
        *,
        commands: Sequence[MacCommand] = (),
        window: int = 1,
        spoil: bool = False,
        port0: bool = False,
        fcnt: int | None = None,
        **fields,
    ) -> tuple[bytes, int] | None:
        """A downlink; `fcnt` other than the next is a replay or a jump."""
        if fields.pop("nothing", False):
            return None
        stream = encode_commands(commands)
        if port0:
            fields |= {"fport": 0, "payload": stream}
        elif stream:
            fields["fopts"] = stream
        counter = self.next_down if fcnt is None else fcnt
        if "ack" not in fields and self.uplinks[-1].uplink.confirmed and "silent_ack" not in fields:
            fields["ack"] = True
        fields.pop("silent_ack", None)
        frame = self.session.build(uplink=False, fcnt32=counter, **fields)
        self.next_down = max(self.next_down, counter + 1)
        if spoil:
            frame = frame[:-1] + bytes([frame[-1] ^ 1])
        return frame, window


class Memory:
    """A durable file in memory; `writes` counts, and `failing` makes the disk full."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.writes = 0

    def read(self) -> bytes | None:
        return self.content

    def write(self, content: bytes) -> None:
        self.content = content
        self.writes += 1


class Events:
    """Remembers what a radio reports."""

    def __init__(self) -> None:
        self.joins = 0
        self.times: list[tuple[float, float]] = []
        self.downlinks: list[tuple[int, bytes]] = []
        self.starts: list[tuple[int, float]] = []

    def joined(self) -> None:
        self.joins += 1

    def time_told(self, unix_s: float, monotonic_s: float) -> None:
        self.times.append((unix_s, monotonic_s))

    def sending(self, fcnt: int, monotonic_s: float) -> None:
        self.starts.append((fcnt, monotonic_s))

    def downlink(self, port: int, payload: bytes) -> None:
        self.downlinks.append((port, payload))


async def finish(clock: ManualClock, work: Awaitable, within_s: float = 600.0):
    """The result of `work`, the clock moved on until it is there."""
    task = asyncio.ensure_future(work)
    passed = 0.0
    while not task.done():
        assert passed < within_s, "still not done"
        await clock.advance(0.5)
        passed += 0.5
    return task.result()
