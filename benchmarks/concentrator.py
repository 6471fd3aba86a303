"""Measures the concentrator's agent as a process of its own, over real UDP, with its real store and a real broker.

`uplinks_per_s`: unique uplinks per second, each heard by two gateways (so twice as many copies arrive), authenticated,
decrypted and committed with synchronous FULL, while the way to the portal is down: the store is what counts. As many
devices send as the agent keeps contexts for. `uplinks_per_s_1000_devices`: four times as many, in turn, so that every
frame finds its device thrown out of memory: the worst case. `uplinks_per_s_delivering`: the usual case while a portal
takes and receipts every telegram; broker, portal and gateways share the machine with it. Rates are the best of ROUNDS,
because anything else that runs on the machine slows all of them. `cpu_us_per_uplink`: of the agent's process.
`rss_mb_1000`: resident memory (MiB) of an agent whose 1,000 adapters have joined and sent, connected to its broker;
`rss_mb_after_load`: after all of the above.
"""

import asyncio
import base64
import compileall
import contextlib
import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.support import arguments, report
from edge.mqtt import LinkDown, LinkSettings, MqttLink
from meterwire import messages, topics, transport_key
from meterwire.errors import MicMismatch
from meterwire.ids import DevEUI, GatewayEUI, JoinEUI
from meterwire.lorawan.crypto import RootKey, Session
from tests.support.mosquitto import mosquitto
from tests.support.processes import free_port

EUI = "0011223344556677"
JOIN_EUI = JoinEUI.parse("70b3d57ed0000001")
ADAPTERS = 1_000
BUSY_ADAPTERS = 250
PACE_S = 0.005  # between two frames while memory is measured: 200 a second, twice what eight channels carry
UPLINKS = 12_000  # in one round
ROUNDS = 3
PACKETS_PER_DATAGRAM = 4  # a forwarder that is busy sends what it has fetched together
JOINS_AT_ONCE = 64
WINDOW = 64  # datagrams under way per gateway
GATEWAYS = tuple(f"aa000000000000{number:02x}" for number in range(8))
SEED = 2
PAYLOAD = bytes.fromhex("11267f619cc262b842d3e97ed2d1c10f")
DEADLINE_S = 120.0
SETTLE_S = 12.0  # the outbox empties, the agent's own housekeeping comes round
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Adapter:
    """A device in the benchmark: enough of it to join and to send."""

    number: int
    dev_eui: DevEUI
    root: RootKey
    key: bytes
    session: Session | None = None
    fcnt: int = 0

    def uplink(self) -> bytes:
        assert self.session is not None
        self.fcnt += 1
        return self.session.build(uplink=True, fcnt32=self.fcnt - 1, fport=16, payload=PAYLOAD)


class Gateway:
    """A packet forwarder that sends as fast as its acknowledgements come back."""

    def __init__(self, eui: str, port: int) -> None:
        self.eui = bytes.fromhex(eui)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(5)
        self.tmst = 0

    def datagram(self, frames: list[bytes], snr: float) -> bytes:
        packets = []
        for frame in frames:
            self.tmst += 1000
            packets.append(
                {
                    "tmst": self.tmst, "chan": 0, "rfch": 0, "freq": 868.1, "stat": 1, "modu": "LORA",
                    "datr": "SF7BW125", "codr": "4/5", "rssi": -80, "lsnr": snr, "size": len(frame),
                    "data": base64.b64encode(frame).decode(),
                }
            )  # fmt: skip
        return b"\x02\x12\x34\x00" + self.eui + json.dumps({"rxpk": packets}).encode()

    def pull(self) -> None:
        self.socket.send(b"\x02\x00\x01\x02" + self.eui)
        self.socket.recv(100)

    def push(self, frame: bytes) -> None:
        self.socket.send(self.datagram([frame], 5.0))
        self.socket.recv(65536)

    def downlink(self) -> bytes:
        """The frame of the next PULL_RESP, accepted with a TX_ACK."""
        while True:
            answer = self.socket.recv(65536)
            if answer[3] == 3:
                self.socket.send(b"\x02" + answer[1:3] + b"\x05" + self.eui)
                return base64.b64decode(json.loads(answer[4:])["txpk"]["data"])


@dataclass
class Portal:
    """Delivers the device table and receipts what it gets."""

    port: int
    public_key: bytes = b""
    revision: int = 0
    receipted: int = 0

    async def take(self, topic: str, body: bytes) -> None:
        branch = topics.parse(topic)[1]
        if branch == topics.STATE:
            state = messages.decode_state(body)
            self.revision = state.revision
            self.public_key = bytes.fromhex(state.public_key or "")
            return
        if branch == topics.UP_TELEGRAM:
            ids = [telegram.id for telegram in messages.decode_telegrams(body).telegrams]
            self.receipted += len(ids)
        else:
            ids = [messages.decode_event(body).id]
        results = tuple(messages.Result(one) for one in ids)
        receipt = messages.Receipt(_id(), messages.timestamp(time.time()), results)
        with contextlib.suppress(LinkDown):
            await self.link.publish(topics.topic(EUI, topics.DN_RECEIPT), messages.encode(receipt))

    def __post_init__(self) -> None:
        settings = LinkSettings("127.0.0.1", self.port, "portal", reconnect_min_s=0.05, reconnect_max_s=0.1)
        wanted = (topics.UP_TELEGRAM, topics.UP_EVENT, topics.STATE)
        self.link = MqttLink(settings, [topics.subscription(branch) for branch in wanted], self.take)

    async def run(self) -> None:
        await self.link.run()

    async def deliver(self, adapters: list[Adapter]) -> None:
        await until(lambda: bool(self.public_key))
        parts = -(-len(adapters) // messages.MAX_DEVICES)
        for part in range(parts):
            some = adapters[part * messages.MAX_DEVICES : (part + 1) * messages.MAX_DEVICES]
            command = messages.DevicesCommand(
                _id(), messages.timestamp(time.time()), 1, None, part + 1, parts, tuple(map(self.entry, some))
            )
            await self.link.publish(topics.topic(EUI, topics.DN_COMMAND), messages.encode(command))
        await until(lambda: self.revision == 1)

    def entry(self, adapter: Adapter) -> messages.DeviceEntry:
        wrapped = transport_key.wrap(
            self.public_key,
            adapter.key,
            concentrator=GatewayEUI.parse(EUI),
            dev_eui=adapter.dev_eui,
            purpose="root",
            ephemeral_private=random.Random(adapter.number).randbytes(32),
        )
        return messages.DeviceEntry(str(adapter.dev_eui), str(JOIN_EUI), wrapped)


@dataclass
class Agent:
    """The agent as a process, and its store as seen from outside."""

    folder: Path
    udp_port: int
    process: subprocess.Popen[bytes]

    def rows(self) -> int:
        """How many telegrams and events were ever committed."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.folder}/state/concentrator.db?mode=ro", uri=True)
        ) as database:
            row = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return int(row[0]) if row else 0

    def rss_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20

    def cpu_s(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


def main() -> int:
    options = arguments(__doc__)
    figures = asyncio.run(measure())
    report(figures, options.json)
    return 0


async def measure() -> dict[str, float]:
    broker = mosquitto()
    figures: dict[str, float] = {}
    try:
        with agent(broker.port) as one:
            portal = Portal(broker.port)
            serving = asyncio.ensure_future(portal.run())
            adapters = make_adapters(ADAPTERS)
            await portal.deliver(adapters)
            gateways = [Gateway(eui, one.udp_port) for eui in GATEWAYS]
            await asyncio.to_thread(join_all, adapters, gateways)
            await asyncio.to_thread(send_all, adapters, gateways[0])
            await asyncio.sleep(SETTLE_S)
            figures["rss_mb_1000"] = one.rss_mb()
            busy = adapters[:BUSY_ADAPTERS]
            delivering = await asyncio.to_thread(rate, one, busy, gateways[:2])
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            broker.kill()
            cpu_s = one.cpu_s()
            figures["uplinks_per_s"] = await asyncio.to_thread(rate, one, busy, gateways[:2])
            figures["cpu_us_per_uplink"] = (one.cpu_s() - cpu_s) / (UPLINKS * ROUNDS) * 1e6
            figures["uplinks_per_s_delivering"] = delivering
            figures["uplinks_per_s_1000_devices"] = await asyncio.to_thread(rate, one, adapters, gateways[:2])
            figures["rss_mb_after_load"] = one.rss_mb()
    finally:
        broker.stop()
    return figures


@contextlib.contextmanager
def agent(broker_port: int) -> Iterator[Agent]:
    folder = Path(tempfile.mkdtemp(prefix="mspan-bench-"))
    udp_port = free_port()
    (folder / "c.toml").write_text(
        f'[concentrator]\neui = "{EUI}"\nstate_dir = "state"\n'
        f"[udp]\nport = {udp_port}\n"
        f'[mqtt]\nhost = "127.0.0.1"\nport = {broker_port}\ntls = false\nheartbeat_s = 1.0\n'
        '[server]\ndevice_status_h = 0.0\n[log]\nlevel = "ERROR"\n'
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for package in ("concentrator_agent", "edge", "meterwire"):  # as an installed package is
        compileall.compile_dir(ROOT / package, quiet=2)
    command = [sys.executable, "-m", "concentrator_agent", "run", "--config", str(folder / "c.toml")]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield Agent(folder, udp_port, process)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def make_adapters(count: int) -> list[Adapter]:
    rng = random.Random(SEED)
    keys = [rng.randbytes(16) for _ in range(count)]
    return [
        Adapter(number, DevEUI.parse(f"70b3d57ed006{number:04x}"), RootKey(key), key) for number, key in enumerate(keys)
    ]


def join_all(adapters: list[Adapter], gateways: list[Gateway]) -> None:
    """In small crowds, spread over the gateways, whose duty cycle limits the join-accepts."""
    for gateway in gateways:
        gateway.pull()
    for start in range(0, len(adapters), JOINS_AT_ONCE):
        asking: dict[int, list[Adapter]] = {}
        for adapter in adapters[start : start + JOINS_AT_ONCE]:
            number = adapter.number % len(gateways)
            asking.setdefault(number, []).append(adapter)
            gateways[number].push(adapter.root.sign_join_request(JOIN_EUI, adapter.dev_eui, 1))
        for number, waiting in asking.items():
            while waiting:
                take_accept(gateways[number].downlink(), waiting)


def take_accept(phy: bytes, waiting: list[Adapter]) -> None:
    """A join-accept names nobody: whose key opens it?"""
    for adapter in waiting:
        with contextlib.suppress(MicMismatch):
            accept = adapter.root.decrypt_join_accept(phy)
            adapter.session = Session(adapter.root.derive(accept.join_nonce, accept.net_id, 1), accept.dev_addr)
            waiting.remove(adapter)
            return


def send_all(adapters: list[Adapter], gateway: Gateway) -> None:
    for adapter in adapters:
        gateway.push(adapter.uplink())
        time.sleep(PACE_S)


def rate(one: Agent, adapters: list[Adapter], gateways: list[Gateway]) -> float:
    """Unique uplinks per second as two gateways push them, the best of ROUNDS."""
    return max(UPLINKS / push_all(one, adapters, gateways) for _ in range(ROUNDS))


def push_all(one: Agent, adapters: list[Adapter], gateways: list[Gateway]) -> float:
    """Seconds from the first datagram to the last commit."""
    frames = [adapter.uplink() for _ in range(UPLINKS // len(adapters)) for adapter in adapters]
    groups = [frames[at : at + PACKETS_PER_DATAGRAM] for at in range(0, len(frames), PACKETS_PER_DATAGRAM)]
    snrs = (5.0, 7.0)
    rounds = [[one.datagram(group, snr) for one, snr in zip(gateways, snrs, strict=True)] for group in groups]
    wanted = one.rows() + len(frames)
    start = time.perf_counter()
    for number, datagrams in enumerate(rounds):
        for gateway, datagram in zip(gateways, datagrams, strict=True):
            gateway.socket.send(datagram)
            if number >= WINDOW:
                gateway.socket.recv(100)  # an acknowledgement; so many datagrams may be under way
    while one.rows() < wanted:
        if time.perf_counter() - start > DEADLINE_S:
            raise RuntimeError(f"{wanted - one.rows()} uplinks of {len(frames)} were not stored")
        time.sleep(0.005)
    elapsed = time.perf_counter() - start
    for gateway in gateways:
        for _ in range(min(WINDOW, len(rounds))):
            gateway.socket.recv(100)
    return elapsed


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def _id() -> str:
    return messages.ulid(time.time(), random.randbytes(10))


if __name__ == "__main__":
    sys.exit(main())
