"""What a regional frequency plan consists of (RP002) and the rules that follow from its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from meterwire.errors import MeterspanError

ERP_TO_EIRP_DB = 2.15
HOUR_S = 3600


class FrequencyPlanError(MeterspanError):
    """The frequency plan has no such data rate, channel, power or sub-band."""

    code: ClassVar[str] = "frequency_plan"


@dataclass(frozen=True, slots=True)
class DataRate:
    """`spreading_factor` is None for FSK. `max_mac_payload` is M, `max_app_payload` N with empty FOpts, in octets."""

    index: int
    spreading_factor: int | None
    bandwidth_hz: int
    bit_rate: int
    max_mac_payload: int

    @property
    def max_app_payload(self) -> int:
        return self.max_mac_payload - 8

    @property
    def datr(self) -> str | int:
        """As packet forwarders name it: "SF7BW125", or the bit rate of FSK as a number."""
        if self.spreading_factor is None:
            return self.bit_rate
        return f"SF{self.spreading_factor}BW{self.bandwidth_hz // 1000}"


@dataclass(frozen=True, slots=True)
class Channel:
    """An uplink channel, its centre in Hz, with the data rates allowed on it."""

    frequency_hz: int
    min_dr: int = 0
    max_dr: int = 5


@dataclass(frozen=True, slots=True)
class SubBand:
    """`low_hz` <= f < `high_hz`; `duty_cycle` is a fraction of one hour; power as ERP in dBm (EN 300 220)."""

    name: str
    low_hz: int
    high_hz: int
    duty_cycle: float
    max_erp_dbm: int

    @property
    def budget_s(self) -> float:
        """Seconds of transmission per hour."""
        return self.duty_cycle * HOUR_S

    @property
    def max_eirp_dbm(self) -> float:
        return self.max_erp_dbm + ERP_TO_EIRP_DB


@dataclass(frozen=True, slots=True)
class Region:
    """One frequency plan. Times in seconds, frequencies in Hz, power in dBm EIRP."""

    name: str
    data_rates: Mapping[int, DataRate]
    default_channels: tuple[Channel, ...]
    extra_channels: tuple[Channel, ...]
    max_channels: int
    join_data_rates: tuple[int, ...]
    rx1_dr_offsets: tuple[int, ...]
    rx2_frequency_hz: int
    rx2_dr: int
    receive_delay1_s: int
    join_accept_delay1_s: int
    rx2_after_rx1_s: int
    max_eirp_dbm: int
    tx_power_steps: int
    tx_power_step_db: int
    frequency_range_hz: tuple[int, int]
    sub_bands: tuple[SubBand, ...]
    required_snr_db: Mapping[int, float]

    def data_rate(self, index: int) -> DataRate:
        rate = self.data_rates.get(index)
        if rate is None:
            raise FrequencyPlanError(f"{self.name} has no data rate DR{index}")
        return rate

    def data_rate_of(self, datr: str | int) -> DataRate:
        """The data rate that a packet forwarder calls `datr`, for example "SF7BW125" or 50000."""
        for rate in self.data_rates.values():
            if rate.datr == datr:
                return rate
        raise FrequencyPlanError(f"{self.name} has no data rate {datr!s:.20}")

    def rx1_dr(self, uplink_dr: int, offset: int) -> int:
        """The data rate of the first receive window: `offset` steps slower, never below DR0."""
        self.data_rate(uplink_dr)
        if offset not in self.rx1_dr_offsets:
            raise FrequencyPlanError(f"{self.name} has no RX1 data rate offset {offset}")
        return max(0, uplink_dr - offset)

    def tx_power_dbm(self, index: int) -> int:
        """EIRP of the TXPower index of LinkADRReq."""
        if not 0 <= index < self.tx_power_steps:
            raise FrequencyPlanError(f"{self.name} has no transmit power index {index}")
        return self.max_eirp_dbm - index * self.tx_power_step_db

    def sub_band(self, frequency_hz: int) -> SubBand:
        for band in self.sub_bands:
            if band.low_hz <= frequency_hz < band.high_hz:
                return band
        raise FrequencyPlanError(f"{frequency_hz} Hz is in no sub-band of {self.name}")

    def allows(self, frequency_hz: int) -> bool:
        """Whether a device may be told to use this frequency at all."""
        return any(band.low_hz <= frequency_hz < band.high_hz for band in self.sub_bands)
