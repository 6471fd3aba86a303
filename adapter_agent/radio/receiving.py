"""What a downlink must be to count, and the windows in which it may come."""

import logging

from adapter_agent.radio.link import Link, LinkChannel
from adapter_agent.radio.phy import Window
from adapter_agent.radio.state import SessionState
from meterwire.errors import FormatError, MeterspanError, ReplayError
from meterwire.lorawan.crypto import Session, full_fcnt, is_retransmission
from meterwire.lorawan.frame import DataFrame, parse
from meterwire.lorawan.mac_commands import MacCommand, parse_commands

log = logging.getLogger(__name__)


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


def log_refusal(error: MeterspanError) -> None:
    """Other devices' frames are nothing to warn of."""
    level = logging.DEBUG if isinstance(error, NotForUs) else logging.WARNING
    log.log(level, "a downlink was refused: %s", error, extra={"code": error.code})


def commands_of(frame: DataFrame) -> list[MacCommand]:
    """The MAC commands in a downlink, up to the first that is not understood."""
    commands, unknown = parse_commands(frame.payload if frame.fport == 0 else frame.fopts, uplink=False)
    if unknown:
        log.info("a MAC command was not understood", extra={"stream": unknown})
    return commands


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
