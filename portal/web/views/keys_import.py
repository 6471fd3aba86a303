"""Import of key files: a dry run with a report row by row, then the import; the file is read and kept nowhere."""

import base64
import csv
import hashlib
from io import StringIO
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.web import keys_counts, keys_words
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.second_factor import fresh_factor
from portal.web.uploads import keep_in_memory
from provisioning.batches.report import harmless
from provisioning.errors import Forbidden
from provisioning.keys.key_file import COLUMNS, MAX_BYTES, MAX_ROWS, REQUIRED
from provisioning.keys.services import Report, import_key_file

HEAD = ("line", "dev_eui", "purpose", "partner", "slot", "state", "check_value", "field", "message")


class KeyFileForm(forms.Form):
    """A maker's file of keys."""

    file = forms.FileField(
        label=gettext_lazy("Key file"),
        max_length=200,
        help_text=gettext_lazy("CSV or a hand-over file (JSON), at most 2 MB and 2,000 keys."),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.json,.txt"}),
    )
    skip_bad = forms.BooleanField(
        label=gettext_lazy("Take the good rows although others are bad"),
        required=False,
        help_text=gettext_lazy("Otherwise one bad row is enough, and nothing is taken."),
    )


@never_cache
@csrf_exempt  # asked for within: the file must not be read before it is sure to stay in memory
@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.import")
@fresh_factor
def key_import(request: PageRequest) -> HttpResponseBase:
    """The form, the dry run's report, and the import of the very file that was tried."""
    keep_in_memory(request)
    return _import(request)


@csrf_protect
def _import(request: PageRequest) -> HttpResponseBase:
    form = KeyFileForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {
        "form": form, "columns": COLUMNS, "required": REQUIRED, "max_rows": MAX_ROWS, "max_bytes": MAX_BYTES,
    }  # fmt: skip
    part = request.htmx and request.htmx.target == "report"
    if request.method == "POST" and form.is_valid():
        content = form.cleaned_data["file"].read(MAX_BYTES + 1)
        digest = hashlib.sha256(content).hexdigest()
        tried = request.POST.get("tried")
        really = request.POST.get("do") == "import" and tried == digest
        try:
            report = _run(request, content, form.cleaned_data["skip_bad"], really)
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            context |= _told(report) | {
                "digest": digest,
                "other": bool(tried) and tried != digest,
                "can_take": bool(report.taken),
            }
            if really and report.taken:
                keys_counts.shelf.forget(request.access.organisation.pk)
                return render(request, "keys/imported.html", context)
    elif part:
        context["refusal"] = _("Choose the file first.")
    return render(request, "keys/import_report.html" if part else "keys/import.html", context)


def _run(request: PageRequest, content: bytes, skip_bad: bool, really: bool) -> Report:
    """A dry run is the real one, taken back: so nothing that the import would refuse is overlooked."""
    access = request.access
    with transaction.atomic():
        report = import_key_file(access.user, access.organisation, content, skip_bad=skip_bad or not really)
        transaction.set_rollback(not really)
    return report


def _told(report: Report) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {
            "line": line,
            "eui": key.adapter.dev_eui,
            "purpose": keys_words.purpose_name(key.purpose),
            "partner": keys_words.partner_name(key),
            "slot": key.slot,
            "state": key.state,
            "check_value": key.check_value,
        }
        for line, key in report.taken
    ]
    rows += [{"line": row.line, "field": row.field, "message": row.message} for row in report.bad]
    rows.sort(key=lambda row: int(row["line"]))
    return {"rows": rows, "taken": len(report.taken), "bad": len(report.bad), "download": _csv(rows)}


def _csv(rows: list[dict[str, Any]]) -> str:
    """The report as a data URL: it is in the page already and kept nowhere else."""
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(HEAD)
    for row in rows:
        cells = {**row, "dev_eui": row.get("eui", "").upper(), "check_value": row.get("check_value", "").upper()}
        found = (cells.get(name) for name in HEAD)
        writer.writerow([harmless("" if cell is None else str(cell)) for cell in found])
    return "data:text/csv;base64," + base64.b64encode(b"\xef\xbb\xbf" + out.getvalue().encode()).decode()
