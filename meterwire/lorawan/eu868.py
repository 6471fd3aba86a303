"""EU863-870 as numbers: RP002-1.0.4 section 2.4, sub-bands of ETSI EN 300 220-2 (as in ERC/REC 70-03 annex 1)."""

from types import MappingProxyType
from typing import Final

from meterwire.lorawan.plan import Channel, DataRate, Region, SubBand

_RATES = (
    # index, spreading factor, bandwidth, bit/s, M
    DataRate(0, 12, 125_000, 250, 59),
    DataRate(1, 11, 125_000, 440, 59),
    DataRate(2, 10, 125_000, 980, 59),
    DataRate(3, 9, 125_000, 1_760, 123),
    DataRate(4, 8, 125_000, 3_125, 250),
    DataRate(5, 7, 125_000, 5_470, 250),
    DataRate(6, 7, 250_000, 11_000, 250),
    DataRate(7, None, 50_000, 50_000, 250),
)

EU868: Final = Region(
    name="EU868",
    data_rates=MappingProxyType({rate.index: rate for rate in _RATES}),
    default_channels=(Channel(868_100_000), Channel(868_300_000), Channel(868_500_000)),
    extra_channels=(
        Channel(867_100_000),
        Channel(867_300_000),
        Channel(867_500_000),
        Channel(867_700_000),
        Channel(867_900_000),
    ),
    max_channels=16,
    join_data_rates=(0, 1, 2, 3, 4, 5),
    rx1_dr_offsets=(0, 1, 2, 3, 4, 5),
    rx2_frequency_hz=869_525_000,
    rx2_dr=0,
    receive_delay1_s=1,
    join_accept_delay1_s=5,
    rx2_after_rx1_s=1,
    max_eirp_dbm=16,
    tx_power_steps=8,
    tx_power_step_db=2,
    frequency_range_hz=(863_000_000, 870_000_000),
    sub_bands=(
        SubBand("863.0-865.0", 863_000_000, 865_000_000, 0.001, 14),
        SubBand("865.0-868.0", 865_000_000, 868_000_000, 0.01, 14),
        SubBand("868.0-868.6", 868_000_000, 868_600_000, 0.01, 14),
        SubBand("868.7-869.2", 868_700_000, 869_200_000, 0.001, 14),
        SubBand("869.4-869.65", 869_400_000, 869_650_000, 0.1, 27),
        SubBand("869.7-870.0", 869_700_000, 870_000_000, 0.01, 14),
    ),
    required_snr_db=MappingProxyType({7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}),
)
