"""The archive: what was put away, and taking it back."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from meterwire.errors import MeterspanError
from portal.web import archive, summary
from portal.web.access import PageRequest, page
from provisioning.errors import Forbidden
from provisioning.fleet.services.restore import RESTORE_DAYS


@require_safe
@page("fleet.view")
def archive_list(request: PageRequest) -> HttpResponse:
    """One kind, page by page."""
    asked = request.GET.get("kind", "")
    chosen = asked if asked in archive.KINDS else "adapters"
    kind = archive.KINDS[chosen]
    found, lines = archive.lines(request.access, kind, request.GET, timezone.now())
    context = {
        "page": found,
        "lines": lines,
        "kinds": [(key, one.name) for key, one in archive.KINDS.items()],
        "chosen": chosen,
        "may": request.access.may(kind.action),
        "days": RESTORE_DAYS,
    }
    return render(request, "archive/list.html", context)


@require_POST
@page("fleet.edit")
def archive_restore(request: PageRequest, kind: str, pk: int) -> HttpResponse:
    """Take one thing back; a conflict is told where it was asked."""
    access = request.access
    if kind not in archive.KINDS:
        raise Http404("no such kind")
    known = archive.KINDS[kind]
    row = get_object_or_404(known.rows(access.user, access.organisation, archived=True), pk=pk)
    try:
        known.restore(access.user, row)
    except Forbidden:
        raise
    except MeterspanError as error:
        messages.error(request, str(error), extra_tags="bad")
        return redirect(f"{reverse('archive')}?kind={kind}")
    summary.forget(access)
    messages.success(request, str(known.then), extra_tags="ok")
    return redirect(known.page, pk) if known.page else redirect(f"{reverse('archive')}?kind={kind}")
