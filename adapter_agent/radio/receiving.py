"""What a downlink must be to count, and the windows in which it may come."""

from adapter_agent.radio.link import Link, LinkChannel
from adapter_agent.radio.phy import Window
from adapter_agent.radio.state import SessionState
from meterwire.errors import FormatError, ReplayError
from meterwire.lorawan.crypto import Session, full_fcnt, is_retransmission
from meterwire.lorawan.frame import DataFrame, parse


class NotForUs(FormatError):
    """Heard in our window, but another device's: nothing unusual where many share a channel."""

    code = "not_for_us"


def authentic(phy: bytes, session: SessionState, crypto: Session) -> DataFrame:
    """The downlink in `phy`; the session then expects the counter after its own.

    Raises NotForUs, FormatError, AuthenticationError, CounterExhausted.
    """
    frame = parse(phy)
    if not isinstance(frame, DataFrame) or frame.uplink or frame.dev_addr != session.dev_addr:
        raise NotForUs("a frame that is meant for another device")
    fcnt = full_fcnt(frame.fcnt, session.fcnt_down)
    if is_retransmission(fcnt, session.fcnt_down):
        raise ReplayError(f"downlink {fcnt} was received before")
    opened = crypto.open(phy, fcnt, uplink=False)
    session.fcnt_down = fcnt + 1
    return opened


def windows_of(link: Link, channel: LinkChannel) -> tuple[Window, Window]:
    """The two receive windows after an uplink on `channel`."""
    return (
        Window(
            link.rx_delay_s,
            channel.downlink_hz or channel.frequency_hz,
            link.region.rx1_dr(link.data_rate, link.rx1_dr_offset),
        ),
        Window(link.rx_delay_s + link.region.rx2_after_rx1_s, link.rx2_hz, link.rx2_dr),
    )
