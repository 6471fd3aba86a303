"""What the demo's building file says about meters and adapters, and the agents' files written from it."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CONCENTRATOR_EUI = "0016c001f1a20001"
GATEWAY_EUI = "0016c001f1a20002"
JOIN_EUI = "70b3d57ed0000001"
REGISTERS = ("1-0:1.8.0", "1-0:2.8.0", "1-0:16.7.0")
PERIOD_SECONDS = 60  # the shortest period that time slots have: something happens while one looks
PAIRED_SHARE = 2  # one in so many adapters waits for its pairing

_CONCENTRATOR = """\
[concentrator]
eui = "{eui}"
state_dir = "{folder}/concentrator"

[udp]
port = {udp}

[mqtt]
host = "127.0.0.1"
port = {mqtt}
tls = false
password_file = "{folder}/concentrator.password"
heartbeat_s = 10

[region]
rx2_dr = 3
"""

_CERTIFIED = """\
[concentrator]
eui = "{eui}"
state_dir = "{folder}/concentrator"

[udp]
port = {udp}

[mqtt]
host = "localhost"
port = {certificates}
heartbeat_s = 10

[enrolment]
est_url = "https://localhost:{est}/.well-known/est"
ca_file = "{pki}/ca.pem"
password_file = "{folder}/enrolment.password"
retry_max_s = 2

[region]
rx2_dr = 3
"""

_ADAPTER = """\
[adapter]
dev_eui = "{dev_eui}"
join_eui = "{join_eui}"
state_dir = "{folder}/{name}"
key_file = "{folder}/{name}.keys.json"

{inputs}
[sampler]
period_s = {period}
registers = [{registers}]

[radio]
type = "virtual"
host = "127.0.0.1"
port = {air}
"""

_INPUT = """\
[[input]]
number = {number}
interface = "sml"
device = "{device}"
"""


@dataclass(frozen=True)
class Flat:
    """One adapter and the meters that its inputs read, in order; `floor` 0 is the ground floor."""

    name: str
    dev_eui: str
    floor: int
    meters: tuple[tuple[str, str], ...]  # (device name, DIN 43863-5 identifier)

    @property
    def place(self) -> str:
        return "ground floor" if self.floor == 0 else f"floor {self.floor}"


def flats(building: Path) -> list[Flat]:
    """The adapters of a building file."""
    data = tomllib.loads(building.read_text())
    ids = {meter["name"]: str(meter["id"]) for meter in data["meter"]}
    return [
        Flat(
            f"adapter-{number:02d}",
            adapter["dev_eui"],
            adapter.get("floor", 0),
            tuple((name, ids[name]) for name in adapter["meters"]),
        )
        for number, adapter in enumerate(data["adapter"], start=1)
    ]


def unpaired(flats: Sequence[Flat], paired: int | None = None) -> Sequence[Flat]:
    """The flats whose adapters still lie in their boxes: all after the first `paired`, by default half of them."""
    return flats[len(flats) - len(flats) // PAIRED_SHARE if paired is None else paired :]


def write_concentrator(agents: Path, ports: Mapping[str, int], pki: Path | None = None) -> Path:
    """The concentrator's configuration: it shows a certificate to the broker when there is an authority in `pki`."""
    path = agents / "concentrator.toml"
    text = _CONCENTRATOR if pki is None else _CERTIFIED
    path.write_text(text.format(eui=CONCENTRATOR_EUI, folder=agents, pki=pki, **ports))
    return path


def write_adapter(agents: Path, flat: Flat, meters: Path, ports: Mapping[str, int]) -> None:
    """An adapter's configuration."""
    inputs = "\n".join(
        _INPUT.format(number=number, device=meters / name) for number, (name, _) in enumerate(flat.meters)
    )
    text = _ADAPTER.format(
        dev_eui=flat.dev_eui,
        join_eui=JOIN_EUI,
        folder=agents,
        name=flat.name,
        inputs=inputs,
        period=PERIOD_SECONDS,
        registers=", ".join(f'"{obis}"' for obis in REGISTERS),
        air=ports["air"],
    )
    (agents / f"{flat.name}.toml").write_text(text)
