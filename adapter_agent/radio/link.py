"""What the network has set for this device: channels, windows, data rate; and the answers to its MAC commands."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any, Final

from meterwire.errors import FormatError
from meterwire.lorawan.frame import JoinAccept
from meterwire.lorawan.mac_commands import (
    DevStatusAns,
    DevStatusReq,
    DlChannelAns,
    DlChannelReq,
    DutyCycleAns,
    DutyCycleReq,
    LinkADRAns,
    LinkADRReq,
    MacCommand,
    NewChannelAns,
    NewChannelReq,
    RXParamSetupAns,
    RXParamSetupReq,
    RXTimingSetupAns,
    RXTimingSetupReq,
)
from meterwire.lorawan.region import REGIONS, FrequencyPlanError, Region

EXTERNAL_POWER: Final = 0
KEEP: Final = 15  # data rate and power index that leave things as they are
ALL_CHANNELS: Final = 6  # ChMaskCntl that switches every defined channel on
CFLIST_FIRST: Final = 3

# Repeated in every uplink until a downlink shows that the network is listening (TS001-1.0.4 section 5).
STICKY: Final = (RXParamSetupAns, RXTimingSetupAns, DlChannelAns)


@dataclass(slots=True)
class LinkChannel:
    """An uplink channel; `downlink_hz` is its first window's frequency where it differs."""

    frequency_hz: int
    min_dr: int
    max_dr: int
    enabled: bool = True
    downlink_hz: int | None = None


@dataclass(slots=True)
class Link:
    """Everything the network may change. `tx_power` is the region's index, `max_duty` n allows 1/2**n of all time."""

    region: Region
    data_rate: int
    channels: dict[int, LinkChannel] = field(default_factory=dict)
    rx1_dr_offset: int = 0
    rx2_dr: int = 0
    rx2_hz: int = 0
    rx_delay_s: int = 1
    tx_power: int = 0
    nb_trans: int = 1
    max_duty: int = 0

    @classmethod
    def fresh(cls, region: Region, data_rate: int) -> "Link":
        """As a device is before the network has told it anything."""
        link = cls(region, data_rate, rx2_dr=region.rx2_dr, rx2_hz=region.rx2_frequency_hz)
        for index, channel in enumerate(region.default_channels):
            link.channels[index] = LinkChannel(channel.frequency_hz, channel.min_dr, channel.max_dr)
        return link

    @classmethod
    def accepted(cls, region: Region, data_rate: int, accept: JoinAccept) -> "Link":
        """As a join-accept sets it. Raises FrequencyPlanError for one that the region does not allow."""
        link = cls.fresh(region, data_rate)
        region.rx1_dr(data_rate, accept.rx1_dr_offset)
        region.data_rate(accept.rx2_dr)
        link.rx1_dr_offset, link.rx2_dr, link.rx_delay_s = accept.rx1_dr_offset, accept.rx2_dr, accept.rx_delay_s
        for index, frequency in enumerate(accept.cflist, CFLIST_FIRST):
            if frequency and region.allows(frequency):
                link.channels[index] = LinkChannel(frequency, 0, 5)
        return link

    def usable(self) -> list[LinkChannel]:
        """The channels that carry the present data rate."""
        return [c for c in self.channels.values() if c.enabled and c.min_dr <= self.data_rate <= c.max_dr]

    def answer(self, commands: Iterable[MacCommand], snr_db: float) -> list[MacCommand]:
        """Carry out the network's requests, in order, and give an answer to each; other commands are passed over.

        `snr_db` of the frame that brought them. A refused command changes nothing.
        """
        answers: list[MacCommand] = []
        for kind, group in groupby(commands, type):
            block = list(group)
            if kind is LinkADRReq:
                answers += self._adapt([command for command in block if isinstance(command, LinkADRReq)])
            else:
                answers += [found for command in block if (found := self._one(command, snr_db)) is not None]
        return answers

    def _one(self, command: MacCommand, snr_db: float) -> MacCommand | None:
        match command:
            case DutyCycleReq():
                self.max_duty = command.max_duty_cycle
                return DutyCycleAns()
            case RXParamSetupReq():
                return self._set_windows(command)
            case DevStatusReq():
                return DevStatusAns(EXTERNAL_POWER, max(-32, min(31, round(snr_db))))
            case NewChannelReq():
                return self._set_channel(command)
            case RXTimingSetupReq():
                self.rx_delay_s = command.delay or 1
                return RXTimingSetupAns()
            case DlChannelReq():
                return self._set_downlink(command)
        return None

    def _adapt(self, block: list[LinkADRReq]) -> list[MacCommand]:
        """Adjacent LinkADRReq are one request: masks add up, the last data rate and power count, all or nothing."""
        enabled = {index for index, channel in self.channels.items() if channel.enabled}
        mask_ok = True
        for command in block:
            if command.ch_mask_cntl == ALL_CHANNELS:
                enabled = set(self.channels)
            elif command.ch_mask_cntl == 0:
                enabled = {index for index in range(16) if command.ch_mask >> index & 1}
            else:
                mask_ok = False
        mask_ok = mask_ok and bool(enabled) and enabled <= set(self.channels)
        last = block[-1]
        rate = self.data_rate if last.data_rate == KEEP else last.data_rate
        chosen = [self.channels[index] for index in enabled & set(self.channels)]
        rate_ok = rate in self.region.data_rates and any(c.min_dr <= rate <= c.max_dr for c in chosen)
        power_ok = last.tx_power == KEEP or last.tx_power < self.region.tx_power_steps
        if mask_ok and rate_ok and power_ok:
            for index, channel in self.channels.items():
                channel.enabled = index in enabled
            self.data_rate = rate
            self.tx_power = self.tx_power if last.tx_power == KEEP else last.tx_power
            self.nb_trans = last.nb_trans or self.nb_trans
        return [LinkADRAns(mask_ok, rate_ok, power_ok)] * len(block)

    def _set_windows(self, command: RXParamSetupReq) -> MacCommand:
        channel_ok = self.region.allows(command.frequency_hz)
        rate_ok = command.rx2_dr in self.region.data_rates
        offset_ok = command.rx1_dr_offset in self.region.rx1_dr_offsets
        if channel_ok and rate_ok and offset_ok:
            self.rx2_hz, self.rx2_dr, self.rx1_dr_offset = command.frequency_hz, command.rx2_dr, command.rx1_dr_offset
        return RXParamSetupAns(channel_ok, rate_ok, offset_ok)

    def _set_channel(self, command: NewChannelReq) -> MacCommand:
        index, frequency = command.index, command.frequency_hz
        free = len(self.region.default_channels) <= index < self.region.max_channels
        rates_ok = command.min_dr <= command.max_dr and {command.min_dr, command.max_dr} <= set(self.region.data_rates)
        if free and not frequency:
            others = [channel for other, channel in self.channels.items() if other != index and channel.enabled]
            if others:
                self.channels.pop(index, None)
            return NewChannelAns(bool(others), True)
        frequency_ok = free and self.region.allows(frequency)
        if frequency_ok and rates_ok:
            self.channels[index] = LinkChannel(frequency, command.min_dr, command.max_dr)
        return NewChannelAns(frequency_ok, rates_ok and free)

    def _set_downlink(self, command: DlChannelReq) -> MacCommand:
        channel = self.channels.get(command.index)
        frequency_ok = self.region.allows(command.frequency_hz)
        if channel is not None and frequency_ok:
            channel.downlink_hz = command.frequency_hz
        return DlChannelAns(frequency_ok, channel is not None)

    def to_state(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        channels = {str(index): asdict(channel) for index, channel in self.channels.items()}
        return {"region": self.region.name, "channels": channels, **plain}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Link":
        """Goes on from `to_state`. Raises FormatError."""
        try:
            channels = {int(index): LinkChannel(**channel) for index, channel in state["channels"].items()}
            return cls(REGIONS[state["region"]], channels=channels, **{name: int(state[name]) for name in _PLAIN})
        except (KeyError, TypeError, ValueError, AttributeError, FrequencyPlanError):
            raise FormatError("the stored radio settings are damaged; the adapter joins again") from None


_PLAIN: Final = ("data_rate", "rx1_dr_offset", "rx2_dr", "rx2_hz", "rx_delay_s", "tx_power", "nb_trans", "max_duty")
