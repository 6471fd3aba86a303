"""What was changed in the fleet since the last look: the audit chain read as a feed, one cheap query when idle."""

from dataclasses import dataclass, field

from django.db.models import Q

from provisioning.audit.models import Entry, Head
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.keys.models import DeviceKey
from provisioning.pairing.models import Pairing

MAX_ENTRIES = 2_000  # beyond that everything is forgotten, which costs less


@dataclass
class Changed:
    """DevEUIs and concentrator EUIs whose records are out of date, or `everything`."""

    everything: bool = False
    adapters: set[str] = field(default_factory=set)
    concentrators: set[str] = field(default_factory=set)


class Changes:
    """Remembers how far each organisation's chain was read. An organisation's entries commit in their order."""

    def __init__(self) -> None:
        self._seen: dict[int, int] | None = None

    def poll(self) -> Changed:
        """What changed since the last call; nothing at the first."""
        heads = dict(Head.objects.values_list("organisation_id", "seq"))
        seen, self._seen = self._seen, heads
        if seen is None:
            return Changed()
        behind = {pk: seen.get(pk, 0) for pk, seq in heads.items() if seq != seen.get(pk, 0)}
        if not behind:
            return Changed()
        if sum(heads[pk] - since for pk, since in behind.items()) > MAX_ENTRIES:
            return Changed(everything=True)
        wanted = Q()
        for organisation, since in behind.items():
            wanted |= Q(organisation_id=organisation, seq__gt=since, seq__lte=heads[organisation])
        return _resolve(list(Entry.objects.filter(wanted).values_list("action", "object_type", "object_id")))


def _resolve(entries: list[tuple[str, str, str]]) -> Changed:
    ids: dict[str, set[str]] = {}
    for action, kind, pk in entries:
        noun = action.partition(".")[0]
        if noun == "readings":
            continue  # opened or exported: it changes nothing, and comes often
        if (not kind and noun in {"key", "pairing"}) or noun == "telemetry":
            return Changed(everything=True)
        ids.setdefault(kind, set()).add(pk)
    owners = (
        Adapter.objects.filter(pk__in=ids.get("adapter", ())).values_list("dev_eui", flat=True),
        DeviceKey.objects.filter(pk__in=ids.get("devicekey", ())).values_list("adapter__dev_eui", flat=True),
        Pairing.objects.filter(pk__in=ids.get("pairing", ())).values_list("adapter__dev_eui", flat=True),
    )
    concentrators = Concentrator.objects.filter(pk__in=ids.get("concentrator", ())).values_list("eui", flat=True)
    return Changed(adapters={eui for rows in owners for eui in rows}, concentrators=set(concentrators))
