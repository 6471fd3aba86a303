"""The receive windows that an uplink opens, and whether the sub-band still has air for them. Pure."""

from typing import Final, NamedTuple

from concentrator_agent.radio.base import Reception
from concentrator_agent.server.mac import Parameters
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.dutycycle import DutyCycleLedger
from meterwire.lorawan.plan import Region

DEAF_FACTOR: Final = 4.0
JOINS_SHARE: Final = 0.5  # of an hour's air in which join-accepts may be long …
LONG_ACCEPT_S: Final = 0.3  # … as at DR0 to DR2, and at SF12 in RX2


class Window(NamedTuple):
    """`after_s` from the end of the uplink; `freq` in Hz."""

    number: int
    after_s: float
    freq: int
    dr: int

    def tmst(self, copy: Reception) -> int:
        """The gateway's counter value at which it opens; the counter wraps at 2**32 us."""
        return (copy.tmst + round(self.after_s * 1e6)) & 0xFFFFFFFF


def data_windows(plan: Region, uplink: Reception, current: Parameters) -> tuple[Window, Window]:
    """RX1 on the uplink's channel, RX2 one second later."""
    rx1 = Window(1, current.rx_delay_s, uplink.freq, plan.rx1_dr(uplink.dr, current.rx1_dr_offset))
    return rx1, Window(2, current.rx_delay_s + plan.rx2_after_rx1_s, current.rx2_frequency, current.rx2_dr)


def join_windows(plan: Region, uplink: Reception) -> tuple[Window, Window]:
    """A device that has not joined listens by the region's defaults."""
    delay = plan.join_accept_delay1_s
    rx1 = Window(1, delay, uplink.freq, plan.rx1_dr(uplink.dr, 0))
    return rx1, Window(2, delay + plan.rx2_after_rx1_s, plan.rx2_frequency_hz, plan.rx2_dr)


def deafens(later: Window, earlier: Window, phy_length: int) -> bool:
    """Whether the later window takes over DEAF_FACTOR times the air of the earlier one.

    A gateway hears nothing on any channel while it sends. Where many devices ask at once, answers at SF12 in RX2 cost
    more uplinks than they serve: the whole site would fall behind, and the device asks again by itself.
    """
    longer = airtime_s(phy_length, later.dr, uplink=False)
    return longer > DEAF_FACTOR * airtime_s(phy_length, earlier.dr, uplink=False)


def second_is_better(plan: Region, first: Window, second: Window, phy_length: int, limit_dbm: int) -> bool:
    """Whether the second window takes less air, and reaches at least as far: RX2's sub-band allows 27 dBm.

    An answer at DR3 in RX2 is five times as short as one at DR0 in RX1, and has 5 dB more to spare.
    """
    if airtime_s(phy_length, second.dr, uplink=False) >= airtime_s(phy_length, first.dr, uplink=False):
        return False
    return _reach_db(plan, second, limit_dbm) >= _reach_db(plan, first, limit_dbm)


def _reach_db(plan: Region, window: Window, limit_dbm: int) -> float:
    """Power over what the spreading factor needs."""
    factor = plan.data_rate(window.dr).spreading_factor
    needed = plan.required_snr_db.get(factor, 0.0) if factor is not None else 0.0
    return power_dbm(plan, window.freq, limit_dbm) - needed


def power_dbm(plan: Region, freq: int, limit: int) -> int:
    """What the sub-band allows as ERP, at most `limit`."""
    return min(plan.sub_band(freq).max_erp_dbm, limit)


def has_air(ledger: DutyCycleLedger, window: Window, phy_length: int, opens_at: float) -> bool:
    return ledger.allowed(window.freq, airtime_s(phy_length, window.dr, uplink=False), opens_at)


def accept_waits(plan: Region, ledger: DutyCycleLedger, window: Window, phy_length: int, now: float) -> bool:
    """Whether a long join-accept would take air that those need who have joined: its device asks again."""
    if airtime_s(phy_length, window.dr, uplink=False) <= LONG_ACCEPT_S:
        return False
    return ledger.used_s(window.freq, now) > JOINS_SHARE * plan.sub_band(window.freq).budget_s


def book(ledger: DutyCycleLedger, window: Window, phy_length: int, opens_at: float) -> None:
    ledger.record(window.freq, airtime_s(phy_length, window.dr, uplink=False), opens_at)
