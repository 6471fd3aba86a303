"""Measures the cryptographic way of an uplink on one core: parse, MIC, outer decryption, counters, inner opening.

`frames_per_s`: 29-octet frames with a sealed telegram of two registers, from as many devices as a concentrator keeps
cipher contexts for, in random order, through the functions that the concentrator and the bridge call.
`frames_per_s_5000_devices`: the same with contexts that no longer fit into the processor's caches.
`outer_frames_per_s`: without the inner opening, to be held beside the two peers, which check the MIC and decrypt only:
lora-packet (npm, in Node.js) and pamoja-gateway (Rust), on the same frames in the same run; pamoja keeps its sessions,
lora-packet takes keys. `memory_bytes_per_device`: what one device's contexts take, measured.
"""

import json
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.support import arguments, cpu_seconds, report
from meterwire.ids import DevEUI
from meterwire.lorawan.crypto import Session, SessionKeys, full_fcnt
from meterwire.lorawan.frame import uplink_address
from meterwire.seal import InnerKey, Value, ValuesOpener, ValuesSealer
from meterwire.values_telegram import restore_counter

CACHED_DEVICES = 256
MANY_DEVICES = 5_000
FRAMES = 20_000
PEER_FRAMES = 2_000
FRAME_OCTETS = 29
SEED = 2


@dataclass
class Traffic:
    """Frames in random order, and per DevAddr the keys, the opened contexts and the counters due at the start."""

    frames: list[bytes]
    keys: dict[int, SessionKeys]
    devices: dict[int, tuple[Session, ValuesOpener, int, int]]
    fcnt32: list[int]


def main() -> int:
    options = arguments(__doc__)
    usual, many = traffic(CACHED_DEVICES), traffic(MANY_DEVICES)
    figures = {
        "frames_per_s": FRAMES / cpu_seconds(lambda: open_all(usual)),
        "frames_per_s_5000_devices": FRAMES / cpu_seconds(lambda: open_all(many)),
        "outer_frames_per_s": FRAMES / cpu_seconds(lambda: open_outer(usual)),
        "memory_bytes_per_device": memory_per_device(),
    }
    for name, rate in (("pamoja", pamoja(usual)), ("lora_packet", lora_packet(usual))):
        if rate is None:
            print(f"{name} is not installed: no figure for it", file=sys.stderr)
            continue
        figures[f"{name}_frames_per_s"] = rate
        figures[f"outer_ratio_to_{name}"] = figures["outer_frames_per_s"] / rate
    report(figures, options.json)
    return 0


def open_all(traffic: Traffic) -> None:
    devices = traffic.devices
    for phy in traffic.frames:
        dev_addr, fcnt = uplink_address(phy)
        session, opener, next_fcnt, next_counter = devices[dev_addr]
        payload = session.open_uplink(phy, full_fcnt(fcnt, next_fcnt)).payload
        opener.open_raw(payload, restore_counter(payload[1] << 8 | payload[2], next_counter))


def open_outer(traffic: Traffic) -> None:
    devices = traffic.devices
    for phy in traffic.frames:
        dev_addr, fcnt = uplink_address(phy)
        session, _, next_fcnt, _ = devices[dev_addr]
        session.open_uplink(phy, full_fcnt(fcnt, next_fcnt))


def pamoja(traffic: Traffic) -> float | None:
    try:
        from pamoja import _native
    except ImportError:
        return None
    sessions = {
        dev_addr: _native.LorawanSession(dev_addr, keys.nwk_s_key, keys.app_s_key)
        for dev_addr, keys in traffic.keys.items()
    }
    devices, work = traffic.devices, traffic.frames

    def run() -> None:
        for phy in work:
            dev_addr, fcnt = uplink_address(phy)
            sessions[dev_addr].decode(phy, full_fcnt(fcnt, devices[dev_addr][2]))

    return len(work) / cpu_seconds(run)


def lora_packet(traffic: Traffic) -> float | None:
    folder = Path(__file__).resolve().parent
    node = shutil.which("node")
    if node is None or not (folder.parent / "tests" / "judges" / "node_modules" / "lora-packet").is_dir():
        return None
    frames = []
    for phy, fcnt32 in list(zip(traffic.frames, traffic.fcnt32, strict=True))[:PEER_FRAMES]:
        keys = traffic.keys[uplink_address(phy)[0]]
        frames.append([phy.hex(), keys.nwk_s_key.hex(), keys.app_s_key.hex(), fcnt32 >> 16])
    run = subprocess.run(
        [node, str(folder / "lora_packet.js")],
        input=json.dumps({"frames": frames}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return float(json.loads(run.stdout))


def traffic(devices: int) -> Traffic:
    rng = random.Random(SEED)
    sent: list[tuple[bytes, int]] = []
    keys_of, contexts = {}, {}
    for n in range(devices):
        dev_addr, fcnt, counter = 0x26000000 + n, rng.randrange(1 << 20), rng.randrange(1 << 24)
        keys, inner = SessionKeys(rng.randbytes(16), rng.randbytes(16)), InnerKey(rng.randbytes(16))
        dev_eui = DevEUI.from_bytes(rng.randbytes(8))
        session = Session(keys, dev_addr)
        sealer = ValuesSealer(inner, 1, dev_eui, widths={1: 4, 2: 3})
        for ahead in range(FRAMES // devices + (n < FRAMES % devices)):
            values = [Value(1, rng.randrange(1 << 31)), Value(2, rng.randrange(1 << 23))]
            telegram = sealer.seal(counter + ahead, values)
            phy = session.build(uplink=True, fcnt32=fcnt + ahead, fport=16, payload=telegram)
            assert len(phy) == FRAME_OCTETS
            sent.append((phy, fcnt + ahead))
        keys_of[dev_addr] = keys
        contexts[dev_addr] = (session, ValuesOpener(inner, dev_eui), fcnt, counter)
    rng.shuffle(sent)
    return Traffic([phy for phy, _ in sent], keys_of, contexts, [fcnt32 for _, fcnt32 in sent])


def memory_per_device() -> float:
    """Growth of the resident memory per device, session and opener."""
    process, kept = psutil.Process(), []
    rng = random.Random(SEED)
    before = process.memory_info().rss
    for n in range(MANY_DEVICES):
        keys = SessionKeys(rng.randbytes(16), rng.randbytes(16))
        opener = ValuesOpener(InnerKey(rng.randbytes(16)), DevEUI.from_bytes(rng.randbytes(8)))
        kept.append((Session(keys, n), opener))
    grown: int = process.memory_info().rss - before
    return grown / len(kept)


if __name__ == "__main__":
    sys.exit(main())
