"""Which adapters of a concentrator do not keep their slots as they should: the worst that was measured of each."""

from portal.telemetry.slot_queries import troubles
from portal.web.shelf import Shelf
from portal.web.slots_states import TROUBLES
from provisioning.fleet.models import Concentrator

FRESH_S = 5.0
Key = tuple[int, int]


def wrong_at(concentrator: Concentrator) -> dict[int, str]:
    """Adapter -> kind (one of TROUBLES), a few seconds old at most unless it takes long to find out."""
    return shelf.get((concentrator.organisation_id, concentrator.pk))


def take(key: Key) -> dict[int, str]:
    """Ask the database."""
    found: dict[int, str] = {}
    told = [one for one in troubles(Concentrator.objects.filter(pk=key[1])) if one.adapter_id is not None]
    for one in sorted(told, key=lambda one: TROUBLES.index(one.kind)):
        found.setdefault(one.adapter_id or 0, one.kind)
    return found


shelf: Shelf[Key, dict[int, str]] = Shelf(take, FRESH_S, told=True)
