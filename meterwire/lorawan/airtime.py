"""How long a frame is on the air: Semtech's LoRa modem formula (AN1200.13) and the FSK one of RP002."""

from typing import Final

from meterwire.lorawan.plan import DataRate
from meterwire.lorawan.region import EU868

PREAMBLE_SYMBOLS: Final = 8
FSK_OVERHEAD: Final = 5 + 3 + 1 + 2  # preamble, sync word, length, CRC


def airtime_s(phy_length: int, dr: int | DataRate, *, uplink: bool = True) -> float:
    """Seconds on the air of a PHYPayload of `phy_length` octets (MHDR to MIC), preamble included.

    `dr` is an EU868 data rate index or a DataRate of any region. Downlinks carry no payload CRC (RP002).
    Raises FrequencyPlanError for a data rate that the plan does not have.
    """
    rate = EU868.data_rate(dr) if isinstance(dr, int) else dr
    if rate.spreading_factor is None:
        return (phy_length + FSK_OVERHEAD) * 8 / rate.bit_rate
    return lora_airtime_s(phy_length, rate.spreading_factor, rate.bandwidth_hz, crc=uplink)


def lora_airtime_s(
    phy_length: int,
    spreading_factor: int,
    bandwidth_hz: int = 125_000,
    *,
    crc: bool = True,
    coding_rate: int = 1,
    low_data_rate: bool | None = None,
) -> float:
    """Seconds of a LoRa packet with explicit header. `coding_rate` n means 4/(4+n).

    `low_data_rate` None switches that optimisation on where a symbol lasts longer than 16 ms, as LoRaWAN does.
    """
    symbol_s: float = 2**spreading_factor / bandwidth_hz
    slow = symbol_s > 0.016 if low_data_rate is None else low_data_rate
    bits = 8 * phy_length - 4 * spreading_factor + 28 + 16 * crc
    per_group = 4 * (spreading_factor - 2 * slow)
    groups = max(-(-bits // per_group), 0)
    symbols = PREAMBLE_SYMBOLS + 4.25 + 8 + groups * (coding_rate + 4)
    return symbols * symbol_s
