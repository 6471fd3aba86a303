"""Batches: the list, upload of a supplier's file, its check report, the import and its progress."""

import secrets
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from meterwire.errors import MeterspanError
from portal.web import batches, summary
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.keyset import Order, paged
from portal.web.views.batch_forms import SeriesForm
from provisioning.batches import services
from provisioning.batches.fields import BY_NAME
from provisioning.batches.models import Batch
from provisioning.batches.queries import rows_of, visible_batches
from provisioning.errors import Forbidden

PER_PAGE = 50
MAX_CODE = 40


@require_safe
@page("batches.import")
def batch_list(request: PageRequest) -> HttpResponse:
    """All batches, newest first."""
    access = request.access
    found = paged(visible_batches(access.user, access.organisation), Order(("-created_at", "-id")), request.GET)
    lines = [(row, batches.state_of(row)) for row in found.rows]
    return render(request, "batches/list.html", {"page": found, "lines": lines})


@require_http_methods(["GET", "HEAD", "POST"])
@page("batches.import")
def batch_series(request: PageRequest) -> HttpResponse:
    """Make a series of adapters here."""
    access = request.access
    form = SeriesForm(access, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            batch = services.create_series(access.user, access.organisation, **form.cleaned_data)
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            return redirect("batch", batch.pk)
    return render(request, "batches/series.html", {"form": form})


@require_safe
@page("batches.import")
def batch(request: PageRequest, pk: int) -> HttpResponse:
    """The check report, the import's progress, its result; only the progress when htmx asks for that."""
    row = _batch(request, pk)
    now = timezone.now()
    context: dict[str, Any] = {"batch": row, "state": batches.state_of(row), "life": batches.life(row)}
    if row.state == Batch.State.IMPORTING:
        context["progress"] = batches.progress(row, now)
    if request.htmx and request.htmx.target == "progress":
        answer = render(request, "batches/progress.html", context)
        if row.state != Batch.State.IMPORTING:
            answer["HX-Refresh"] = "true"
        return answer
    state, code = request.GET.get("state", "")[:10], request.GET.get("error", "")[:MAX_CODE]
    found = paged(rows_of(row, state, code), Order(("line",)), request.GET, PER_PAGE)
    context |= {
        "page": found,
        "lines": [(one, batches.state_of_row(one)) for one in found.rows],
        "row_state": state,
        "error": code,
        "errors": [(one, batches.error_name(one), count) for one, count in row.error_counts.items()],
        "columns": _columns(row),
        "can_start": row.state in {Batch.State.CHECKED, Batch.State.FAILED} and row.new > 0,
        "left": row.total - row.imported,
        "twin": _twin(request, row),
    }
    return render(request, "batches/batch.html", context)


@require_POST
@page("batches.import")
def batch_check(request: PageRequest, pk: int) -> HttpResponse:
    """Hold the rows against what is registered by now."""
    return _act(request, pk, lambda row: services.check(request.access.user, row), _("Checked again."))


@require_POST
@page("batches.import")
def batch_import(request: PageRequest, pk: int) -> HttpResponse:
    """Release the batch for import, or let another worker go on with it."""
    row = _batch(request, pk)
    if not services.is_stalled(row, timezone.now()):
        try:
            row = services.start(request.access.user, row, request.POST.get("mode", ""))
        except Forbidden:
            raise
        except MeterspanError as error:
            messages.error(request, str(error), extra_tags="bad")
            return redirect("batch", pk)
    if not batches.queue(row, f"batch-{row.pk}-{secrets.token_hex(6)}"):
        text = _("The worker cannot be reached just now. The import begins by itself when it is back.")
        messages.warning(request, text, extra_tags="warn")
    summary.forget(request.access)
    return redirect("batch", pk)


@require_POST
@page("batches.import")
def batch_cancel(request: PageRequest, pk: int) -> HttpResponse:
    """Give the batch up."""
    done = _("Cancelled. The keys that were not imported are forgotten.")
    return _act(request, pk, lambda row: services.cancel(request.access.user, row), done)


@require_safe
@page("batches.import")
def batch_report(request: PageRequest, pk: int) -> HttpResponseBase:
    """The report as CSV, with check values instead of keys."""
    row = _batch(request, pk)
    answer = StreamingHttpResponse(batches.export(row), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="batch-{row.pk}-report.csv"'
    answer["Cache-Control"] = "private, no-store"
    return answer


def _act(request: PageRequest, pk: int, act: Any, done: str) -> HttpResponse:
    row = _batch(request, pk)
    try:
        act(row)
    except Forbidden:
        raise
    except MeterspanError as error:
        messages.error(request, str(error), extra_tags="bad")
    else:
        summary.forget(request.access)
        messages.success(request, done, extra_tags="ok")
    return redirect("batch", pk)


def _batch(request: PageRequest, pk: int) -> Batch:
    access = request.access
    found = visible_batches(access.user, access.organisation).filter(pk=pk).first()
    if found is None:
        raise Http404("no such batch")
    return found


def _columns(row: Batch) -> list[tuple[str, str]]:
    return [(str(BY_NAME[name].label), title) for name, title in row.columns.items() if name in BY_NAME]


def _twin(request: PageRequest, row: Batch) -> Batch | None:
    """An earlier batch from the very same file."""
    if not row.file_digest:
        return None
    access = request.access
    same = visible_batches(access.user, access.organisation).filter(file_digest=row.file_digest, pk__lt=row.pk)
    return same.first()
