"""Labels: choosing and printing many, showing one to scan it from the screen, and making a new one."""

from collections.abc import Callable
from typing import Final

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from meterwire import ndef
from meterwire.errors import MeterspanError
from portal.web import labels
from portal.web.access import PageRequest, page
from portal.web.keyset import Order, paged
from provisioning.errors import Forbidden, Invalid
from provisioning.fleet.models import Adapter
from provisioning.fleet.queries import visible_sites
from provisioning.labels.models import OwnerToken
from provisioning.labels.queries import current_token, printable_adapters
from provisioning.labels.render import SHEETS, label_pdf, label_svg, label_zpl, qr_svg, sheet_pdf
from provisioning.labels.services import PrintLabel, issue_token, print_labels

MAX_LISTED = 300
PDF, ZPL = "application/pdf", "application/zpl"
# What one label can be saved as: type, ending, how.
FILES: Final[dict[str, tuple[str, str, Callable[[PrintLabel], str | bytes]]]] = {
    "pdf": (PDF, "pdf", label_pdf),
    "svg": ("image/svg+xml", "svg", label_svg),
    "zpl": (ZPL, "zpl", label_zpl),
    "ndef": ("application/octet-stream", "ndef", lambda label: ndef.encode(label.text)),
}


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@page("labels.print")
def label_list(request: PageRequest) -> HttpResponse:
    """Adapters whose labels can be printed; the chosen ones as a file to print."""
    if request.method != "POST":
        return _list(request)
    access, data = request.access, request.POST
    kind, stock = data.get("format", "sheet"), data.get("stock", next(iter(SHEETS)))
    try:
        first = _first(stock, data.get("first", "1"))
        made = print_labels(
            access.user, access.organisation, labels.chosen(access, labels.Choice.of(access, request.GET), data)
        )
    except Forbidden:
        raise
    except MeterspanError as error:
        return _list(request, str(error), error.field if isinstance(error, Invalid) else "")
    name = f"meterspan-labels-{timezone.localdate():%Y-%m-%d}"
    if kind == "zpl":
        return _file("".join(map(label_zpl, made)), ZPL, f"{name}.zpl")
    content = label_pdf(*made) if kind == "roll" else sheet_pdf(made, stock, first)
    return _file(content, PDF, f"{name}.pdf")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@page("labels.print")
def label(request: PageRequest, pk: int) -> HttpResponse:
    """The state of one adapter's label; asked by POST, the label itself, large enough to be scanned."""
    row = _adapter(request, pk)
    context: dict[str, object] = {"adapter": row}
    status = 200
    if request.method == "POST":
        try:
            shown = print_labels(request.access.user, row.organisation, [row])[0]
            tag = ndef.encode(shown.text).hex()
            context |= {"shown": shown, "code": qr_svg(shown.text, _("Label of the adapter")), "tag": tag}
        except Forbidden:
            raise
        except MeterspanError as error:
            context["refusal"], status = str(error), 409
    token = current_token(row)
    context |= {
        "token": token,
        "state": labels.state_of(token),
        "used": token is not None and token.state == OwnerToken.State.CONSUMED,
        "files": FILES,
    }
    return render(request, "labels/label.html", context, status=status)


@require_POST
@never_cache
@page("labels.print")
def label_file(request: PageRequest, pk: int) -> HttpResponse:
    """One label as a file."""
    row = _adapter(request, pk)
    kind, ending, draw = FILES.get(request.POST.get("format", ""), FILES["pdf"])
    try:
        made = print_labels(request.access.user, row.organisation, [row])[0]
    except Forbidden:
        raise
    except MeterspanError as error:
        messages.error(request, str(error), extra_tags="bad")
        return redirect("label", pk)
    return _file(draw(made), kind, f"label-{row.dev_eui}.{ending}")


@require_http_methods(["GET", "HEAD", "POST"])
@page("labels.print")
def label_new(request: PageRequest, pk: int) -> HttpResponse:
    """Say what the new label ends, then make it."""
    row = _adapter(request, pk)
    refusal = ""
    if request.method == "POST":
        try:
            issue_token(request.access.user, row)
        except Forbidden:
            raise
        except MeterspanError as error:
            refusal = str(error)
        else:
            messages.success(
                request, _("The new label is made. Print it and put it over the old one."), extra_tags="ok"
            )
            return redirect("label", pk)
    paired = row.pairings.filter(to_at=None).select_related("metering_point").first()
    context = {"adapter": row, "token": current_token(row), "paired": paired, "refusal": refusal}
    return render(request, "labels/new.html", context, status=409 if refusal else 200)


def _list(request: PageRequest, refusal: str = "", field: str = "") -> HttpResponse:
    """The list as the query wants it, with what a refused form had chosen."""
    access, said = request.access, request.POST
    choice = labels.Choice.of(access, request.GET)
    rows = choice.rows(access)
    found = paged(rows, Order(("dev_eui",)), request.GET)
    context = {
        "page": found,
        "lines": labels.with_states(found.rows),
        "count": rows.order_by()[: labels.MAX_LABELS + 1].count(),
        "limit": labels.MAX_LABELS,
        "choice": choice,
        "query": choice.text,
        "state": choice.state,
        "sites": visible_sites(access.user, access.organisation).order_by("name")[:MAX_LISTED],
        "batches": labels.batches(access)[:MAX_LISTED],
        "sheets": SHEETS,
        "refusal": refusal,
        "field": field,
        "said": {name: said.get(name, "") for name in ("which", "pasted", "format", "stock", "first")},
        "ticked": {int(key) for key in said.getlist("adapter")[: labels.MAX_LABELS] if key.isdecimal()},
    }
    return render(request, "labels/list.html", context)


def _first(stock: str, text: str) -> int:
    """The first free position of the sheet, before any token is opened. Raises Invalid."""
    sheet = SHEETS.get(stock)
    if sheet is None:
        raise Invalid("stock", _("Unknown label sheet; known are {known}.").format(known=", ".join(SHEETS)))
    first = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
    if not 1 <= first <= sheet.count:
        raise Invalid("first", _("This sheet has positions 1 to {count}.").format(count=sheet.count))
    return first


def _file(content: str | bytes, kind: str, name: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=kind)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "private, no-store"
    return answer


def _adapter(request: PageRequest, pk: int) -> Adapter:
    """404 for an adapter that is archived, another organisation's or at a site out of reach."""
    access = request.access
    rows = printable_adapters(access.user, access.organisation).select_related("organisation", "site")
    found = rows.filter(pk=pk).first()
    if found is None:
        raise Http404("no such adapter")
    return found
