"""The audit: who did what, newest first, and whether the chain holds."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal.web import figures
from portal.web.access import PageRequest, page
from portal.web.actions import action_name, details
from portal.web.keyset import Order, paged
from provisioning.audit.models import Entry
from provisioning.audit.queries import entries, latest_verification, verify

PER_PAGE = 60
MAX_VERIFIED = 100_000  # a longer chain is verified by `manage.py audit_verify`, not while a browser waits
_FILTERS = {"action": "action", "actor": "actor_name", "type": "object_type", "object": "object_id"}


@require_safe
@page("audit.view")
def audit(request: PageRequest) -> HttpResponse:
    """The entries that the query's filters leave."""
    access = request.access
    rows = entries(access.user, access.organisation)
    chosen = {name: request.GET[name][:254] for name in _FILTERS if request.GET.get(name)}
    for name, value in chosen.items():
        rows = rows.filter(**{_FILTERS[name]: value})
    found = paged(rows, Order(("-seq",)), request.GET, PER_PAGE)
    actions, actors = _used(request)
    context = {
        "page": found,
        "lines": [(entry, action_name(entry.action), details(entry.data)) for entry in found.rows],
        "chosen": chosen,
        "actions": [(a, action_name(a)) for a in actions],
        "actors": actors,
        "latest": latest_verification(access.organisation),
    }
    return render(request, "audit/list.html", context)


@require_POST
@page("audit.view")
def audit_verify(request: PageRequest) -> HttpResponse:
    """Recompute the chain and say what was found."""
    organisation = request.access.organisation
    newest = Entry.objects.filter(organisation=organisation).order_by("-seq").values_list("seq", flat=True).first() or 0
    if newest > MAX_VERIFIED:
        messages.warning(
            request,
            _("The chain has {n} entries. Run manage.py audit_verify on the server instead.").format(
                n=figures.figure(newest)
            ),
            extra_tags="warn",
        )
        return redirect("audit")
    verdict = verify(organisation)
    if verdict.broken is None:
        text = _("The chain holds: {n} entries, none changed, none missing.").format(n=figures.figure(verdict.entries))
        messages.success(request, text, extra_tags="ok")
    else:
        text = _("The chain is broken at entry {n}: {reason}. Everything before it is sound.")
        messages.error(request, text.format(n=figures.figure(verdict.broken), reason=verdict.reason), extra_tags="bad")
    return redirect("audit")


def _used(request: PageRequest) -> tuple[list[str], list[str]]:
    """Actions and actors of the newest entries: enough to choose from, and quick on a long chain."""
    rows = Entry.objects.filter(organisation=request.access.organisation).order_by("-seq")
    newest = list(rows.values_list("action", "actor_name")[:1000])
    return sorted({action for action, *_rest in newest}), sorted({actor for *_rest, actor in newest})
