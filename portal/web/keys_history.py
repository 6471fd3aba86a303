"""What became of one key: its stations with times, and the audit's entries about it."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from portal.web import figures
from portal.web.actions import action_name, details
from portal.web.life import Station
from provisioning.audit.models import Entry
from provisioning.keys.models import DeviceKey, KeyState

MAX_ENTRIES = 100
_BEGINNING = (KeyState.GENERATED, KeyState.IMPORTED)
_WAY = (KeyState.DELIVERING, KeyState.ACTIVE, KeyState.RETIRING, KeyState.REVOKED, KeyState.DESTROYED)
_END = (KeyState.REVOKED, KeyState.DESTROYED)


@dataclass(frozen=True, slots=True)
class Deed:
    """One entry of the audit in words."""

    at: datetime
    who: str
    what: str
    details: str


def entries(key: DeviceKey) -> list[Entry]:
    """The latest about this key, oldest first. Whoever sees the key sees what was done with it."""
    rows = Entry.objects.filter(organisation_id=key.organisation_id, object_type="devicekey", object_id=str(key.pk))
    return list(rows.order_by("-seq")[:MAX_ENTRIES])[::-1]


def deeds(found: list[Entry]) -> list[Deed]:
    """Newest first, as the page lists them."""
    return [Deed(row.at, row.actor_name, action_name(row.action), details(row.data)) for row in reversed(found)]


def life(key: DeviceKey, found: list[Entry]) -> list[Station]:
    """Made or imported, and every state after it; those that were left out on the way are not shown."""
    reached = {row.action.removeprefix("key."): row.at for row in found}
    reached[key.state] = key.state_at
    imported = key.state == KeyState.IMPORTED or KeyState.IMPORTED in reached
    beginning = _("Imported") if imported else _("Made")
    stations = [Station(beginning, figures.day(key.created_at), "done", key.created_at)]
    if key.state in _BEGINNING:
        reached.pop(key.state)
    place = _WAY.index(KeyState(key.state)) if key.state in _WAY else -1
    for number, state in enumerate(_WAY):
        at, name = reached.get(state), str(state.label)
        if number == place:
            stations.append(_now(key, name))
        elif at is not None and number < place:
            stations.append(Station(name, figures.day(at), "done", at))
        elif number > place and (state not in _END or key.state in _END):
            stations.append(Station(name, _("not yet"), "todo"))
    return stations


def _now(key: DeviceKey, name: str) -> Station:
    text = figures.day(key.state_at)
    if key.state == KeyState.RETIRING and key.grace_until:
        text = _("opens what comes late until {moment}").format(moment=figures.day(key.grace_until))
    form = "fail" if key.state == KeyState.REVOKED else "done" if key.state == KeyState.DESTROYED else "now"
    return Station(name, text, form, key.state_at)  # type: ignore[arg-type]
