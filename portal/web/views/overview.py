"""The first page: how many are heard, what is late, what is wrong, and the sites; and the page of incidents."""

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.web import figures, sites, summary
from portal.web.access import PageRequest, page
from portal.web.punctuality import Hour

SITES_SHOWN = 8
INCIDENTS_SHOWN = 5
SPARK_HEIGHT = 34


@dataclass(frozen=True, slots=True)
class Punctual:
    """The share of due readings that came on time, and its course as points of a polyline 0..200 x 0..34."""

    share: str
    course: str
    worst: str
    worst_at: datetime | None


@require_safe
@page("fleet.view")
def overview(request: PageRequest) -> HttpResponse:
    """Tiles, sites and incidents."""
    access = request.access
    facts = summary.snapshot(access)
    found = summary.everything(access)
    places = sites.ordered(facts)
    context = {
        "now": timezone.now(),
        "facts": facts,
        "total": facts.total,
        "incidents": found[:INCIDENTS_SHOWN],
        "incident_count": len(found),
        "punctual": punctual(summary.punctuality(access)) if access.may("readings.view") else None,
        "lines": sites.lines(facts, places[:SITES_SHOWN]),
        "more_sites": len(places) - SITES_SHOWN,
    }
    part = request.htmx.target if request.htmx else None
    template = "overview/live.html" if part == "overview" else "overview/overview.html"
    return render(request, template, context)


@require_safe
@page("fleet.view")
def incidents(request: PageRequest) -> HttpResponse:
    """All open incidents, by cause."""
    context = {"incidents": summary.everything(request.access), "facts": summary.snapshot(request.access)}
    part = request.htmx.target if request.htmx else None
    template = "overview/incident_list.html" if part == "incidents" else "overview/incidents.html"
    return render(request, template, context)


def punctual(hours: list[Hour]) -> Punctual | None:
    """The tile of the last 24 hours; None while nothing was due."""
    if not hours:
        return None
    if len(hours) > 1 and hours[-1].running:
        hours = hours[:-1]
    shares = [min(1.0, hour.prompt / hour.due) for hour in hours]
    low = min(0.9, *shares)  # the scale shows a dip of a per cent, and does not dramatise less
    step = 200 / max(1, len(shares) - 1)
    height = SPARK_HEIGHT - 4
    points = [(i * step, 2 + height * (1 - (s - low) / (1 - low))) for i, s in enumerate(shares)]
    if len(points) == 1:
        points.append((200.0, points[0][1]))
    worst = min(hours, key=lambda h: h.prompt / h.due)
    return Punctual(
        figures.percent(sum(h.prompt for h in hours), sum(h.due for h in hours)),
        " ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        figures.percent(worst.prompt, worst.due, 0),
        worst.start,
    )
