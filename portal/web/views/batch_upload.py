"""The upload of a supplier's file: first its columns are looked at, then it is checked; neither time is it kept."""

from typing import Any, BinaryIO, cast

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST

from meterwire.errors import MeterspanError
from portal.web.access import Access, PageRequest, page
from portal.web.forms import refuse
from portal.web.uploads import is_too_large, keep_in_memory
from portal.web.views.batch_forms import ColumnsForm, UploadForm, posted
from provisioning.batches.errors import FileRefused
from provisioning.batches.limits import MAX_BYTES, too_large
from provisioning.batches.models import Batch, Supplier
from provisioning.batches.queries import suppliers
from provisioning.batches.services import Preview, look, save_supplier, upload
from provisioning.errors import Forbidden


@csrf_exempt  # asked for within: the file must not be read before its bound is set
@require_http_methods(["GET", "HEAD", "POST"])
@page("batches.import")
def batch_new(request: PageRequest) -> HttpResponseBase:
    """The form; with a file and its columns the batch."""
    if is_too_large(request):
        return _too_large(request)
    keep_in_memory(request)
    return _new(request)


@csrf_exempt  # as above
@require_POST
@page("batches.import")
def batch_columns(request: PageRequest) -> HttpResponseBase:
    """The part of the form about columns, for the file that was just chosen."""
    if is_too_large(request):
        return _too_large(request)
    keep_in_memory(request)
    return _columns(request)


@csrf_protect
def _new(request: PageRequest) -> HttpResponseBase:
    access = request.access
    form = UploadForm(access, request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"form": form, "max_bytes": MAX_BYTES}
    if request.method == "POST" and form.is_valid():
        file, name = form.cleaned_data["file"].file, form.cleaned_data["file"].name
        if "columns" not in request.POST:
            context |= _looked_at(access, file, name, form.cleaned_data["supplier"])
            context["again"] = True
        else:
            try:
                return redirect("batch", _uploaded(request, form, file, name).pk)
            except Forbidden:
                raise
            except MeterspanError as error:
                refuse(form, error)
            context |= _looked_at(access, file, name, form.cleaned_data["supplier"], request.POST)
    return render(request, "batches/upload.html", context, status=400 if form.errors else 200)


@csrf_protect
def _columns(request: PageRequest) -> HttpResponseBase:
    file = request.FILES.get("file")
    if file is None:
        return render(request, "batches/columns.html", {})
    chosen = request.POST.get("supplier", "")
    rows = suppliers(request.access.user, request.access.organisation)
    supplier = rows.filter(pk=int(chosen)).first() if chosen.isdecimal() and len(chosen) < 12 else None
    content = cast(BinaryIO, file.file)
    return render(request, "batches/columns.html", _looked_at(request.access, content, str(file.name), supplier))


def _uploaded(request: PageRequest, form: UploadForm, file: BinaryIO, name: str) -> Batch:
    access, data = request.access, form.cleaned_data
    mapping, defaults = posted(request.POST, "map_"), posted(request.POST, "default_")
    chosen: Supplier | None = data["supplier"]
    supplier = save_supplier(
        access.user,
        access.organisation,
        chosen.name if chosen else data["new_supplier"],
        mapping=mapping,
        defaults=defaults,
    )
    return upload(
        access.user,
        access.organisation,
        file,
        name,
        supplier=supplier,
        site=data["site"],
        concentrator=data["concentrator"],
    )


def _looked_at(
    access: Access, file: BinaryIO, name: str, supplier: Supplier | None, data: Any = None
) -> dict[str, object]:
    """What the part about columns shows: the preview with suggestions, or why the file cannot be read."""
    try:
        preview = look(file, name, supplier)
    except FileRefused as error:
        return {"refusal": str(error)}
    return {
        "preview": preview,
        "columns": _columns_form(preview, supplier, data),
        "remembered": _fits(preview, supplier),
    }


def _columns_form(preview: Preview, supplier: Supplier | None, data: Any) -> ColumnsForm:
    initial = {f"map_{name}": title for name, title in preview.suggested.items()}
    initial |= {f"default_{name}": value for name, value in (supplier.defaults if supplier else {}).items()}
    return ColumnsForm(preview.titles, data, initial={**initial, "columns": "shown"})


def _fits(preview: Preview, supplier: Supplier | None) -> bool:
    """Whether everything the supplier's mapping names is in this file: then nobody has to look at it again."""
    if supplier is None or not supplier.mapping:
        return False
    return set(supplier.mapping) == set(preview.suggested)


def _too_large(request: PageRequest) -> HttpResponse:
    size = int(request.META.get("CONTENT_LENGTH") or 0)
    context: dict[str, object] = {"refusal": too_large(size)}
    if request.htmx:
        return render(request, "batches/columns.html", context, status=413)
    context |= {"form": UploadForm(request.access), "max_bytes": MAX_BYTES}
    return render(request, "batches/upload.html", context, status=413)
