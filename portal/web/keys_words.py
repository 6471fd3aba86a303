"""Keys, deliveries, campaigns and hand-overs in words and forms that people read."""

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.web import figures
from portal.web.states import Form, State
from provisioning.campaigns.models import Campaign, Delivery, LmnHandover, Schedule
from provisioning.campaigns.reasons import REASONS
from provisioning.keys.models import DeviceKey, Purpose
from provisioning.keys.services.issue import INPUT

_PURPOSES: dict[str, str | Promise] = {
    Purpose.ROOT: gettext_lazy("LoRaWAN root key"),
    Purpose.TRANSPORT: gettext_lazy("Key-transport key"),
    Purpose.INNER: gettext_lazy("Inner key"),
    Purpose.LMN: gettext_lazy("LMN key"),
    Purpose.CONTROL_UP: gettext_lazy("Control key, up"),
    Purpose.CONTROL_DOWN: gettext_lazy("Control key, down"),
    Purpose.GROUP_CONTROL: gettext_lazy("Group control key"),
    Purpose.STORAGE: gettext_lazy("Storage key"),
    Purpose.METER: gettext_lazy("Meter's own key"),
    Purpose.NWK: gettext_lazy("Network session key"),
    Purpose.APP: gettext_lazy("Application session key"),
}
_CAMPAIGN_FORMS: dict[str, Form] = {"running": "warn", "paused": "idle", "done": "ok", "cancelled": "idle"}
_DELIVERY_FORMS: dict[str, Form] = {
    "planned": "idle", "delivering": "warn", "confirmed": "warn", "active": "ok", "failed": "bad", "cancelled": "idle",
}  # fmt: skip


def purpose_name(purpose: str) -> str:
    """What a key is for."""
    return str(_PURPOSES.get(purpose, purpose))


def purposes() -> list[tuple[str, str]]:
    """All purposes, to choose from."""
    return [(purpose.value, purpose_name(purpose)) for purpose in Purpose]


def partner_name(key: DeviceKey) -> str:
    """Who shares it with the adapter: the portal, a meter at an input, or a concentrator by its EUI."""
    if key.partner == "portal":
        return _("Portal")
    if match := INPUT.fullmatch(key.partner):
        return _("meter at input {n}").format(n=match[1])
    return figures.eui(key.partner)


def title(key: DeviceKey) -> str:
    """A key in one line, as a heading and in a request for approval."""
    slot = _(", slot {n}").format(n=key.slot) if key.slot is not None else ""
    return _("{purpose} {version} of {eui}{slot}").format(
        purpose=purpose_name(key.purpose), version=key.version, eui=figures.eui(key.adapter.dev_eui), slot=slot
    )


def of_campaign(row: Campaign) -> State:
    """Running, paused, done, cancelled; done with failures needs somebody."""
    if row.state == Campaign.State.DONE and getattr(row, "failed", False):
        return State("bad", _("done, not everywhere"))
    return State(_CAMPAIGN_FORMS[row.state], str(Campaign.State(row.state).label).lower())


def of_delivery(state: str) -> State:
    """A delivery's state."""
    return State(_DELIVERY_FORMS[state], str(Delivery.State(state).label).lower())


def of_handover(row: LmnHandover) -> State:
    """What a hand-over waits for."""
    if row.withdrawn_at is not None:
        return State("idle", _("withdrawn"))
    if row.acknowledged_at is not None:
        return State("ok", _("acknowledged"))
    if row.made_at is not None:
        return State("warn", _("waits for the acknowledgement"))
    return State("warn", _("file not made yet"))


def reason(code: str, message: str = "") -> str:
    """Why a delivery failed, in the reader's language where the code is known."""
    return str(REASONS.get(code, message or code))


def scope_name(row: Campaign | Schedule) -> str:
    """Whose keys a campaign or schedule replaces."""
    if row.adapter is not None:
        return figures.eui(row.adapter.dev_eui)
    return row.site.name if row.site is not None else _("Everything")
