"""The demo's cellar: plug in the next adapter, scan or paste its label, and watch. Exists in the demo only."""

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from meterwire.errors import MeterspanError
from meterwire.ids import MeterId
from portal.ops.demo.house import Flat, flats
from portal.ops.demo.plugs import plug_in, plugged
from portal.telemetry.commissioning import heard_unpaired
from portal.web.access import Access, PageRequest, page
from provisioning.accounts.actors import System
from provisioning.fleet.models import Adapter
from provisioning.labels.render import qr_svg
from provisioning.labels.services import open_label
from provisioning.pairing.models import Pairing

ACTOR = System("demo")


@dataclass(frozen=True, slots=True)
class Box:
    """An adapter of the building: where it lies, what it is to read, and how far it has come."""

    flat: Flat
    adapter: Adapter
    pairing: Pairing | None
    has_power: bool

    @property
    def meter(self) -> str:
        return MeterId.parse(self.flat.meters[0][1]).display


@require_safe
@never_cache
@page("pairing.create")
def demo(request: PageRequest) -> HttpResponse:
    """The next adapter that waits for its pairing, or the one that is asked for."""
    boxes = _boxes(_folder(), request.access)
    waiting = [box for box in boxes if box.pairing is None]
    asked = request.GET.get("adapter", "")
    box = next((box for box in boxes if box.flat.name == asked), waiting[0] if waiting else None)
    context: dict[str, object] = {
        "box": box,
        "waiting": waiting,
        "paired": len(boxes) - len(waiting),
        "all": len(boxes),
    }
    if box is None:
        return render(request, "demo/done.html", context)
    if request.htmx:
        return render(request, "demo/power.html", {**context, "heard": _heard(request.access, box)})
    try:
        label = open_label(ACTOR, box.adapter)
    except MeterspanError as error:
        context["no_label"] = str(error)
    else:
        context |= {"label": label, "label_svg": qr_svg(label)}
    context |= {"meter_svg": qr_svg(box.meter.replace(" ", "")), "heard": _heard(request.access, box)}
    return render(request, "demo/next.html", context)


@require_http_methods(["POST"])
@page("pairing.create")
def demo_plug(request: PageRequest, name: str) -> HttpResponse:
    """Give the adapter power, or take it away for a moment and give it again."""
    folder = _folder()
    if name not in {box.flat.name for box in _boxes(folder, request.access)}:
        raise Http404("no adapter of the demo")
    plug_in(folder / "plugs", name)
    return redirect(f"{reverse('demo')}?adapter={name}")


def _folder() -> Path:
    return Path(settings.DEMO_FOLDER)


def _boxes(folder: Path, access: Access) -> list[Box]:
    building = flats(folder / "agents" / "building.toml")
    rows = Adapter.objects.filter(organisation=access.organisation, archived_at=None)
    adapters = {row.dev_eui: row for row in rows.filter(dev_eui__in=[flat.dev_eui for flat in building])}
    pairings = Pairing.objects.filter(adapter__in=adapters.values(), to_at=None, input=0)
    by_adapter = {row.adapter_id: row for row in pairings}
    power = plugged(folder / "plugs")
    return [
        Box(flat, adapter, by_adapter.get(adapter.pk), flat.name in power)
        for flat in building
        if (adapter := adapters.get(flat.dev_eui)) is not None
    ]


def _heard(access: Access, box: Box) -> object | None:
    """How the concentrator hears the adapter that nobody has paired yet."""
    return next((one for one in heard_unpaired(access.organisation) if one.dev_eui == box.flat.dev_eui), None)
