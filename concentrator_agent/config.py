"""The concentrator's configuration file as frozen types; `concentrator.example.toml` explains every key."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from concentrator_agent.modes import Gate, GateSettings, Interface, Mode
from edge import config as toml
from edge.mqtt import Tls
from meterwire.ids import GatewayEUI
from meterwire.lorawan.region import REGIONS, FrequencyPlanError, Region, by_name

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86400 * 365)]


class Concentrator(msgspec.Struct, frozen=True, kw_only=True):
    eui: GatewayEUI
    state_dir: Path
    credential_file: Path | None = None
    mode: Literal["smgw", "stand-alone"] = "stand-alone"
    interface: Literal["lan", "mobile", "han"] = "lan"
    exclusive: bool = False
    exclusive_local_s: Seconds = 840.0
    exclusive_third_s: Seconds = 60.0
    han_outside: bool = False
    off: tuple[Literal["lmn-radio", "m-bus", "han", "lan", "mobile"], ...] = ()

    @property
    def gate(self) -> GateSettings:
        return GateSettings(
            Mode(self.mode),
            self.exclusive,
            self.exclusive_local_s,
            self.exclusive_third_s,
            self.han_outside,
            tuple(Interface(name) for name in self.off),
        )


class Udp(msgspec.Struct, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: Port = 1700
    allowed_gateways: tuple[GatewayEUI, ...] = ()
    max_power_dbm: Annotated[int, Meta(ge=0, le=27)] = 27


class Mqtt(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    tls: bool = True
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 30
    reconnect_max_s: Seconds = 30.0
    heartbeat_s: Seconds = 30.0

    def __post_init__(self) -> None:
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("certificate files are given, but 'tls' is false")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("'cert_file' and 'key_file' belong together")

    @property
    def tls_settings(self) -> Tls | None:
        return Tls(self.ca_file, self.cert_file, self.key_file) if self.tls else None


class TargetMqtt(msgspec.Struct, frozen=True, kw_only=True):
    """Another system's broker, for values that are opened here; `{dev_eui}` in the topic stands for the adapter."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    tls: bool = True
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    client_id: Annotated[str, Meta(max_length=64)] = ""
    topic: Annotated[str, Meta(pattern=r"^[^+#\x00]{1,200}\Z")] = "meterspan/values/{dev_eui}"
    interface: Literal["lan", "mobile", "han"] = "lan"
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 30
    reconnect_max_s: Seconds = 30.0

    def __post_init__(self) -> None:
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("certificate files are given, but 'tls' is false")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("'cert_file' and 'key_file' belong together")

    @property
    def tls_settings(self) -> Tls | None:
        return Tls(self.ca_file, self.cert_file, self.key_file) if self.tls else None


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """Where opened values go beside the portal, which only ever gets them sealed."""

    mqtt: TargetMqtt | None = None


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """How this concentrator comes to its certificate (EST, RFC 7030)."""

    est_url: Annotated[str, Meta(pattern=r"^https://[^\s/@]+(/\S*)?$", max_length=200)]
    ca_file: Path | None = None
    ca_fingerprint: Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$|^$")] = ""
    password_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    curve: Literal["p-256", "brainpoolP256r1"] = "p-256"
    retry_max_s: Seconds = 3600.0

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("'cert_file' and 'key_file' belong together")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the pinned authority in 64 lower-case hex digits, or ""."""
        return self.ca_fingerprint.replace(":", "").lower()


class Outbox(msgspec.Struct, frozen=True, kw_only=True):
    max_bytes: Annotated[int, Meta(ge=100_000, le=64 * 1024**3)] = 64 * 1024 * 1024
    max_age_days: Annotated[float, Meta(gt=0, le=3650)] = 90.0
    max_unreceipted: Annotated[int, Meta(ge=1, le=200)] = 20
    resend_s: Seconds = 30.0


class RegionSettings(msgspec.Struct, frozen=True, kw_only=True):
    name: str = "EU868"
    net_id: Annotated[int, Meta(ge=0, le=0xFFFFFF)] = 0
    rx_delay_s: Annotated[int, Meta(ge=1, le=15)] = 1
    rx1_dr_offset: Annotated[int, Meta(ge=0, le=5)] = 0
    rx2_dr: Annotated[int, Meta(ge=0, le=15)] = 3
    rx2_frequency_hz: int | None = None
    extra_channels: bool = True

    def __post_init__(self) -> None:
        try:
            plan = by_name(self.name)
            plan.data_rate(self.rx2_dr)
            if self.rx2_frequency_hz is not None:
                plan.sub_band(self.rx2_frequency_hz)
        except FrequencyPlanError as error:
            raise ValueError(str(error)) from None

    @property
    def plan(self) -> Region:
        return REGIONS[self.name]

    @property
    def rx2_frequency(self) -> int:
        return self.rx2_frequency_hz or self.plan.rx2_frequency_hz

    @property
    def channels(self) -> tuple[int, ...]:
        """All uplink channels in Hz, by index."""
        plan = self.plan
        channels = plan.default_channels + (plan.extra_channels if self.extra_channels else ())
        return tuple(channel.frequency_hz for channel in channels)


class Server(msgspec.Struct, frozen=True, kw_only=True):
    dedupe_ms: Annotated[int, Meta(ge=0, le=700)] = 200
    cached_devices: Annotated[int, Meta(ge=1, le=65536)] = 256
    device_status_h: Annotated[float, Meta(ge=0, le=8760)] = 24.0


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    quality: Literal["auto", "ntp", "free", "none"] = "auto"


class TimeSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time comes from: `host`, who keeps its own clock, the gateways' `gps`, or the `smgw` over the HAN."""

    source: Literal["host", "gps", "smgw"] = "host"
    server: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 123
    poll_s: Annotated[float, Meta(ge=16, le=1024)] = 64.0

    def __post_init__(self) -> None:
        if self.server:
            try:
                ip_address(self.server)
            except ValueError:
                raise ValueError(f"'server' is an IP address on the HAN, not {self.server!r}") from None
        elif self.source == "smgw":
            raise ValueError("source 'smgw' needs 'server', the IP address of its time server on the HAN")


class BeaconSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when the beacon is sent; as the adapters are told by record 0x11 of port 33."""

    enabled: bool = False
    frequency_hz: int = 869_525_000
    data_rate: Annotated[int, Meta(ge=0, le=5)] = 3
    period_s: Literal[60, 300, 900, 3600] = 900
    phase_ms: Annotated[int, Meta(ge=0, lt=3_600_000)] = 0

    def __post_init__(self) -> None:
        if self.phase_ms >= self.period_s * 1000:
            raise ValueError(f"phase_ms lies outside the period of {self.period_s} s")


class Log(msgspec.Struct, frozen=True, kw_only=True):
    format: Literal["console", "json"] = "console"
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Without `mqtt` the concentrator collects and keeps; nothing leaves it."""

    concentrator: Concentrator
    udp: Udp = msgspec.field(default_factory=Udp)
    mqtt: Mqtt | None = None
    enrolment: Enrolment | None = None
    targets: Targets = msgspec.field(default_factory=Targets)
    outbox: Outbox = msgspec.field(default_factory=Outbox)
    region: RegionSettings = msgspec.field(default_factory=RegionSettings)
    server: Server = msgspec.field(default_factory=Server)
    clock: Clock = msgspec.field(default_factory=Clock)
    time: TimeSource = msgspec.field(default_factory=TimeSource)
    beacon: BeaconSettings = msgspec.field(default_factory=BeaconSettings)
    log: Log = msgspec.field(default_factory=Log)

    @property
    def eui(self) -> str:
        return str(self.concentrator.eui)

    @property
    def credential_file(self) -> Path:
        return self.concentrator.credential_file or self.concentrator.state_dir / "credential"

    def replace(self, section: str, **changes: Any) -> "Config":
        """A copy with some keys of one section changed; for tests and tools."""
        return msgspec.structs.replace(self, **{section: msgspec.structs.replace(getattr(self, section), **changes)})


def load(path: Path) -> Config:
    """Raises edge.config.ConfigError with file, line and cure."""
    document = toml.read(path)
    config = document.convert(Config)
    if config.enrolment is not None and (config.mqtt is None or not config.mqtt.tls):
        raise document.error(
            "enrolment", "the certificate is for a broker with TLS, and there is none", "write [mqtt] with tls = true"
        )
    if config.time.source != "host" and config.clock.quality != "auto":
        raise document.error(
            "clock.quality", f"time source '{config.time.source}' says itself what it is worth", "take 'quality' out"
        )
    if config.time.source == "smgw" and not Gate(config.concentrator.gate).ever_open(Interface.HAN):
        raise document.error(
            "time.source", "the HAN is never open in this mode", "use mode = 'smgw' or source = 'host'"
        )
    if config.beacon.enabled:
        try:
            config.region.plan.sub_band(config.beacon.frequency_hz)
        except FrequencyPlanError as error:
            raise document.error("beacon.frequency_hz", str(error), "take a frequency of the region") from None
    gate = config.concentrator.gate
    if Interface(config.concentrator.interface) in gate.off:
        raise document.error(
            "concentrator.interface",
            f"the backhaul's interface '{config.concentrator.interface}' is switched off",
            "take it out of 'off' or choose another one",
        )
    if gate.mode is Mode.STAND_ALONE and config.concentrator.interface == "han":
        raise document.error(
            "concentrator.interface", "the HAN is closed in stand-alone mode", "use 'lan' or 'mobile', or mode = 'smgw'"
        )
    target = config.targets.mqtt
    if target is not None and not Gate(config.concentrator.gate).ever_open(Interface(target.interface)):
        raise document.error(
            "targets.mqtt.interface",
            f"the interface '{target.interface}' is never open in this mode",
            "take it out of 'off' or choose another one",
        )
    return config
