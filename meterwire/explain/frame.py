"""Explains whole LoRaWAN 1.0 frames: every header field, MAC commands, MIC and payload as far as the keys reach."""

from dataclasses import fields

from meterwire.errors import MicMismatch
from meterwire.explain import payload
from meterwire.explain.context import Context, Explanation
from meterwire.lorawan.crypto import RootKey, Session, SessionKeys
from meterwire.lorawan.frame import DataFrame, EncryptedJoinAccept, FrameError, JoinRequest, parse
from meterwire.lorawan.mac_commands import parse_commands
from meterwire.seal import Key16

_HALVES = 1 << 16
_TRIED = 1024  # upper halves of the frame counter: sixty-seven million frames in one session
_RESERVED = 0x1C
_LIFTED = ("registers", "counter", "key_slot", "authentic")
_NO_KEY = Key16(bytes(16))


def explain(phy: bytes, context: Context) -> Explanation:
    """A PHYPayload, MHDR to MIC. FrameError for other bytes, MicMismatch when a key is given that does not fit."""
    frame = parse(phy)
    if isinstance(frame, DataFrame):
        return _data(phy, frame, context)
    if isinstance(frame, JoinRequest):
        return _join_request(phy, frame, context)
    return _join_accept(frame, context)


def likely(phy: bytes, context: Context) -> Explanation:
    """As `explain`, for bytes of which nothing is known: reserved bits must be zero then. FormatError."""
    if phy and phy[0] & _RESERVED:
        raise FrameError("reserved bits of the first byte are set")
    return explain(phy, context)


def _data(phy: bytes, frame: DataFrame, context: Context) -> Explanation:
    fcnt = (context.fcnt_high or 0) * _HALVES + frame.fcnt
    session = _session(context.nwk_s_key, context.app_s_key, frame.dev_addr)
    mic_ok = None if context.nwk_s_key is None else session.verify(phy, fcnt, frame.uplink)
    if mic_ok is False:
        raise _mic_mismatch(phy, frame, context)
    key = context.nwk_s_key if frame.fport == 0 else context.app_s_key
    clear = None
    if frame.fport is not None and key is not None:
        clear = session.crypt(frame.payload, fcnt, frame.uplink, frame.fport)
    on_port_zero = clear if frame.fport == 0 and clear is not None else b""
    answer: Explanation = {
        "kind": "LoRaWAN frame",
        "type": ("confirmed " if frame.confirmed else "unconfirmed ") + ("uplink" if frame.uplink else "downlink"),
        "mtype": int(frame.mtype),
        "direction": "up" if frame.uplink else "down",
        "bytes": len(phy),
        "dev_addr": f"{frame.dev_addr:08x}",
        "adr": frame.adr,
        "adr_ack_req": frame.adr_ack_req if frame.uplink else None,
        "ack": frame.ack,
        "class_b" if frame.uplink else "fpending": frame.class_b_or_pending,
        "fcnt": frame.fcnt,
        "fcnt_full": fcnt,
        "fopts": frame.fopts.hex(),
        **_commands(frame.fopts or on_port_zero, frame.uplink),
        "fport": frame.fport,
        "frm_payload": frame.payload.hex(),
        "mic": frame.mic.hex(),
        "mic_ok": mic_ok,
        "payload": None if clear is None else clear.hex(),
    }
    if clear and frame.fport:
        content = payload.nested(clear, frame.fport, context)
        # The same query then reads a bare telegram and one in a frame.
        answer |= {name: content[name] for name in _LIFTED if name in content} | {"content": content}
    return answer


def _join_request(phy: bytes, frame: JoinRequest, context: Context) -> Explanation:
    if context.key is not None:
        RootKey(context.key.reveal()).verify_join_request(phy)
    return {
        "kind": "LoRaWAN frame",
        "type": "join-request",
        "mtype": 0,
        "direction": "up",
        "bytes": len(phy),
        "join_eui": str(frame.join_eui),
        "dev_eui": str(frame.dev_eui),
        "dev_nonce": frame.dev_nonce,
        "mic": frame.mic.hex(),
        "mic_ok": None if context.key is None else True,
    }


def _join_accept(frame: EncryptedJoinAccept, context: Context) -> Explanation:
    answer: Explanation = {
        "kind": "LoRaWAN frame",
        "type": "join-accept",
        "mtype": 1,
        "direction": "down",
        "bytes": len(frame.phy),
    }
    if context.key is None:
        return answer | {"encrypted": True, "mic_ok": None}
    accept = RootKey(context.key.reveal()).decrypt_join_accept(frame.phy)
    return answer | {
        "encrypted": False,
        "join_nonce": accept.join_nonce,
        "net_id": f"{accept.net_id:06x}",
        "dev_addr": f"{accept.dev_addr:08x}",
        "rx1_dr_offset": accept.rx1_dr_offset,
        "rx2_dr": accept.rx2_dr,
        "rx_delay_s": accept.rx_delay_s,
        "cflist_hz": list(accept.cflist),
        "mic_ok": True,
    }


def _commands(stream: bytes, uplink: bool) -> Explanation:
    commands, rest = parse_commands(stream, uplink)
    shown = [
        {"name": type(command).__name__, "cid": f"{command.cid:02x}"}
        | {field.name: getattr(command, field.name) for field in fields(command)}
        for command in commands
    ]
    return {"mac_commands": shown, "mac_unknown": rest.hex()} if rest else {"mac_commands": shown}


def _session(nwk_s_key: Key16 | None, app_s_key: Key16 | None, dev_addr: int) -> Session:
    # Only what the given key covers is asked of the session; the other place is filled.
    nwk, app = nwk_s_key or _NO_KEY, app_s_key or _NO_KEY
    return Session(SessionKeys(nwk.reveal(), app.reveal()), dev_addr)


def _mic_mismatch(phy: bytes, frame: DataFrame, context: Context) -> MicMismatch:
    """The refusal, with the cause where trying finds it: another upper counter half, or swapped keys."""
    keys = (context.nwk_s_key, context.app_s_key)
    for (nwk, app), swapped in ((keys, ""), (keys[::-1], " with the two session keys swapped")):
        session = _session(nwk, app, frame.dev_addr)
        for high in range(_TRIED) if nwk is not None else ():
            if session.verify(phy, high * _HALVES + frame.fcnt, frame.uplink):
                return MicMismatch(f"the MIC does not fit as asked; it fits{swapped} with --fcnt-high {high}")
    return MicMismatch(
        "the MIC does not fit: wrong network session key, changed bytes, or a frame of another device with the address"
        f" {frame.dev_addr:08x}"
    )
