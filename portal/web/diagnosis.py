"""What a refusal or event means in words, and what to do about it."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.web.states import Form

MAX_LINE = 160
HIDDEN = {"rx", "payload"}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`title` says what happened, `cause` why it usually does, `cure` what to do (empty: nothing)."""

    form: Form
    title: str | Promise
    cause: str | Promise = ""
    cure: str | Promise = ""


REFUSED_TELEGRAMS: dict[str, Diagnosis] = {
    "tag_mismatch": Diagnosis(
        "bad",
        _("The inner seal does not fit"),
        _("The adapter seals with another key than the portal holds for this slot, or the telegram was changed."),
        _("Compare the key check value on the adapter with the one here; provision the adapter again if they differ."),
    ),
    "unknown_key_slot": Diagnosis(
        "bad",
        _("Sealed with a key slot that the portal does not know"),
        _("The adapter uses a slot for which no valid key is stored here."),
        _("Import the key for that slot, or provision the adapter again. The telegram is kept."),
    ),
    "no_valid_key": Diagnosis(
        "bad",
        _("No key is valid for this telegram"),
        _("The key of this slot has expired or is not valid yet."),
        _("Check the validity of the adapter's keys and its clock."),
    ),
    "replay_other_bytes": Diagnosis(
        "bad",
        _("A counter came back with other content"),
        _("Somebody repeats or forges telegrams, or the adapter lost its counter."),
        _("Treat it as a security event: find out whether the adapter was reset or copied."),
    ),
    "unknown_adapter": Diagnosis(
        "warn",
        _("No adapter with this DevEUI is registered"),
        _("The concentrator still serves an adapter that was archived or belongs to another organisation."),
        _("Register the adapter, or wait until the concentrator runs the newest device table."),
    ),
    "adapter_revoked": Diagnosis(
        "bad",
        _("The adapter was revoked"),
        _("All its keys are void; whoever sends in its name is not believed."),
        _("Find the device. Provision it anew with a new key file if it shall serve again."),
    ),
    "foreign_port": Diagnosis(
        "warn",
        _("The portal does not read this application port"),
        _("The device sends a kind of telegram that nothing here decodes."),
        _("The raw telegram is kept below."),
    ),
    "format": Diagnosis(
        "warn",
        _("The telegram does not follow the format"),
        _("The adapter's firmware is newer than the portal, or the device sends something else on this port."),
        _("Look at the raw telegram; update the older side."),
    ),
    "unsupported_version": Diagnosis(
        "warn",
        _("The telegram has a version that this release does not know"),
        _("The adapter's firmware is newer than the portal."),
        _("Update the portal. The telegram is kept."),
    ),
    "limit": Diagnosis("warn", _("The telegram is over a stated limit"), _("More values than are allowed.")),
}

EVENTS: dict[tuple[str, str], Diagnosis] = {
    ("joined", ""): Diagnosis("ok", _("Joined the network")),
    ("join_refused", "nonce_used"): Diagnosis(
        "warn",
        _("Join refused: this nonce was used before"),
        _("The adapter lost the memory of its joins, or somebody replays an old join."),
        _("If the adapter was reset, it gets through by itself after a few tries with a fresh nonce."),
    ),
    ("join_refused", "mic"): Diagnosis(
        "bad",
        _("Join refused: the root key does not fit"),
        _("The adapter and the portal hold different root keys."),
        _("Compare the key check value, then provision the adapter again or correct the key here."),
    ),
    ("join_refused", "unknown_key"): Diagnosis(
        "warn",
        _("Join refused: the concentrator has no root key for it"),
        _("The concentrator does not run the device table with this adapter yet, or its own key is not approved."),
        _("Approve the concentrator's key and wait for the next device table."),
    ),
    ("frame_refused", "mic"): Diagnosis(
        "warn",
        _("Frame refused: the radio signature does not fit"),
        _("A stranger uses the same device address, or the adapter runs an older session."),
        _("Nothing, if readings arrive. Otherwise let the adapter join again."),
    ),
    ("frame_refused", "counter"): Diagnosis(
        "warn",
        _("Frame refused: the frame counter went back"),
        _("The device started again without a join, or somebody replays old frames."),
        _("Let the device join again. A device activated by personalisation must keep its counter."),
    ),
    ("frame_refused", "replay"): Diagnosis(
        "warn",
        _("Frame refused: it was heard before"),
        _("An old frame was sent again."),
        _("Nothing, if it happens once. Often: somebody replays frames near this concentrator."),
    ),
    ("frame_refused", "format"): Diagnosis(
        "warn", _("Frame refused: it is no LoRaWAN frame"), _("Noise, or another system on the same channel.")
    ),
    ("device_refused", "key"): Diagnosis(
        "bad",
        _("The concentrator cannot open this adapter's root key"),
        _("The key was wrapped for another concentrator key."),
        _("Approve the concentrator's present key; the portal then sends the device table again."),
    ),
    ("device_refused", "format"): Diagnosis(
        "bad",
        _("The concentrator refused this adapter's entry"),
        _("Its version may be too old."),
        _("Update the concentrator."),
    ),
    ("downlink", "sent"): Diagnosis("ok", _("Downlink sent")),
    ("downlink", "acknowledged"): Diagnosis("ok", _("Downlink acknowledged")),
    ("downlink", "expired"): Diagnosis("warn", _("Downlink expired before the adapter listened")),
    ("downlink", "duty_cycle"): Diagnosis("warn", _("Downlink waits: the concentrator's airtime is used up")),
    ("downlink", "too_late"): Diagnosis("warn", _("Downlink came too late for the receive window")),
    ("downlink", "refused"): Diagnosis("warn", _("Downlink refused by the concentrator")),
    ("gateway", "online"): Diagnosis("ok", _("Radio gateway connected")),
    ("gateway", "offline"): Diagnosis(
        "bad", _("Radio gateway lost"), _("The packet forwarder no longer answers."), _("Check its power and network.")
    ),
    ("outbox_dropped", ""): Diagnosis(
        "bad",
        _("The concentrator's outbox overflowed; its oldest telegrams are lost"),
        _("It was offline for longer than its store lasts."),
        _("Check the backhaul; give the outbox more room in its configuration."),
    ),
    ("clock", "jump"): Diagnosis("warn", _("The concentrator's clock jumped")),
    ("clock", "unsynchronised"): Diagnosis(
        "warn", _("The concentrator's clock runs free"), "", _("Check its time server.")
    ),
    ("clock", "synchronised"): Diagnosis("ok", _("The concentrator's clock is synchronised")),
    ("clock", "settled"): Diagnosis(
        "ok",
        _("The concentrator's clock is believed again"),
        _("After its jump it was set back, or its time server has held it since."),
    ),
    ("clock", "leap_second"): Diagnosis("ok", _("The concentrator's clock took a leap second")),
    ("clock", "contradicted"): Diagnosis(
        "bad",
        _("Most devices say that the concentrator's clock went wrong"),
        _("It runs free and drifts, or somebody set it."),
        _("Check its time server."),
    ),
    ("clock", "agreed"): Diagnosis("ok", _("Devices agree with the concentrator's clock again")),
    ("clock", "gateway_off"): Diagnosis(
        "warn",
        _("A radio gateway gives a time that is not believed"),
        _("Its clock is far from that of the concentrator."),
        _("Check the time of the gateway, such as its GPS reception."),
    ),
    ("slot", ""): Diagnosis(
        "idle",
        _("How a device kept its slot"),
        _("Frames outside came at another time, on another channel or with another data rate."),
    ),
    ("rate_proposed", ""): Diagnosis(
        "idle",
        _("Another data rate would suit a device"),
        _("With its present one it is heard much better than needed."),
        _("Nothing: the portal takes it up with the device's slot."),
    ),
    ("rekeyed", "ok"): Diagnosis("ok", _("The concentrator agreed a key with an adapter")),
    ("rekeyed", "timeout"): Diagnosis(
        "warn",
        _("The concentrator could not agree a key with an adapter"),
        _("The adapter did not answer for two days."),
        _("Look at its reception, then try the delivery again."),
    ),
    ("rekeyed", ""): Diagnosis(
        "bad",
        _("The concentrator could not agree a key with an adapter"),
        _("The adapter refused it, or holds another key."),
        _("Its delivery says why; try it again from there."),
    ),
    ("certificate", "issued"): Diagnosis("ok", _("The concentrator has a new certificate")),
    ("certificate", "expiring"): Diagnosis(
        "bad",
        _("The concentrator's certificate is nearly over"),
        _("Renewing it has failed for long; when it is over the broker lets it in no more."),
        _("Look at its log; let it enrol anew with a one-time password."),
    ),
    ("silence", ""): Diagnosis("bad", _("Fell silent")),
    ("registered", ""): Diagnosis("ok", _("Reported its firmware and counter")),
    ("heard", ""): Diagnosis("idle", _("A stranger was heard")),
    ("identity", "mismatch"): Diagnosis(
        "bad",
        _("It reads another meter than the one it was paired with"),
        _("Two adapters were mixed up, another label was scanned, or the adapter was moved."),
        _("Decide it on the page of the pairing. Until then its readings belong to nobody."),
    ),
    ("security", "identity_twice"): Diagnosis(
        "bad",
        _("The same meter is read by two adapters"),
        _("An adapter was moved without being paired anew, or somebody pretends to sit on this meter."),
        _("Find out on the spot which of the two sits on the meter, then resolve the other pairing."),
    ),
    ("security", "other_dev_eui"): Diagnosis(
        "bad",
        _("It reported another DevEUI than the one it joined with"),
        _("Its radio and its board were provisioned for different adapters, or the report was forged."),
        _("Compare both numbers with the label; provision the adapter again."),
    ),
    ("security", "key_message"): Diagnosis(
        "bad",
        _("A key message was not authentic"),
        _("Portal and adapter hold different key-transport keys, or somebody forges messages about keys."),
        _("Compare the check values of the key-transport key; provision the adapter anew if they differ."),
    ),
    ("security", ""): Diagnosis("bad", _("Security event")),
    ("protocol", ""): Diagnosis("warn", _("A message could not be read")),
}


def of_refusal(code: str) -> Diagnosis:
    """Why a telegram, a frame or a join was refused, from the code that the adapter's state keeps."""
    places = (REFUSED_TELEGRAMS.get(code), EVENTS.get(("join_refused", code)), EVENTS.get(("frame_refused", code)))
    return next((told for told in places if told), Diagnosis("warn", _("Refused"), code))


def of_event(kind: str, reason: str) -> Diagnosis:
    """What an event of a concentrator or of the pipeline means."""
    found = EVENTS.get((kind, reason)) or EVENTS.get((kind, ""))
    if kind in {"security", "protocol"} and reason in REFUSED_TELEGRAMS:
        return REFUSED_TELEGRAMS[reason]
    return found or Diagnosis("idle", kind.replace("_", " "), reason.replace("_", " "))


def one_line(detail: object) -> str:
    """The plain values of an event's detail, without what was received by whom."""
    if not isinstance(detail, dict):
        return ""
    parts = (f"{k} {v}" for k, v in detail.items() if k not in HIDDEN and isinstance(v, str | int | float))
    return ", ".join(parts)[:MAX_LINE]
