"""How a key leaves: wrapped for a recipient, which comes first, or revealed once with a second custodian's approval."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.web import approvals, figures, keys_words
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.second_factor import fresh_factor
from portal.web.views.keys_deeds import ReasonForm, found
from provisioning.approvals.models import Approval
from provisioning.approvals.queries import mine
from provisioning.approvals.services import request as ask
from provisioning.errors import Forbidden, Invalid
from provisioning.keys.models import DeviceKey
from provisioning.keys.recipients import MAX_PEM, fingerprint, recipient
from provisioning.keys.services import reveal, rewrap
from provisioning.keys.services.reveal import DEED, subject

SHOWN_S = 60


class RecipientForm(forms.Form):
    """A public key, pasted or as a file, and why."""

    conditional = ("pem", "file")  # one of the two

    pem = forms.CharField(
        label=gettext_lazy("Public key or certificate of the recipient"),
        max_length=MAX_PEM,
        required=False,
        widget=forms.Textarea({"class": "id", "rows": 6, "autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("In PEM: it begins with -----BEGIN PUBLIC KEY----- or -----BEGIN CERTIFICATE-----."),
    )
    file = forms.FileField(label=gettext_lazy("Or as a file"), required=False, max_length=200)
    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=200, help_text=gettext_lazy("It stays in the audit.")
    )

    def clean(self) -> dict[str, Any]:
        """`pem` is the text of a usable key, wherever it came from."""
        data = super().clean() or self.cleaned_data
        file = data.get("file")
        if file is not None:
            data["pem"] = file.read(MAX_PEM + 1).decode("ascii", "replace")
        if not data.get("pem"):
            if "pem" not in self.errors:
                self.add_error("pem", _("Paste the public key, or choose its file."))
            return data
        try:
            recipient(data["pem"])
        except Invalid as error:
            self.add_error("file" if file is not None else "pem", str(error))
        return data


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.reveal")
@fresh_factor
def key_wrap(request: PageRequest, pk: int) -> HttpResponseBase:
    """Ask for whom; first the fingerprint to compare, then the file, which is kept nowhere."""
    row = found(request, pk)
    form = RecipientForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"key": row, "title": keys_words.title(row), "form": form}
    if request.method == "POST" and form.is_valid():
        pem = form.cleaned_data["pem"]
        print_of = fingerprint(recipient(pem))
        if request.POST.get("compared") == print_of:
            try:
                wrapped = rewrap(request.access.user, row, pem, form.cleaned_data["reason"])
            except Forbidden:
                raise
            except MeterspanError as error:
                refuse(form, error, {"recipient": "pem"})
            else:
                return _file(wrapped, f"key-{row.adapter.dev_eui}-{row.check_value}.pem")
        # The file that was chosen cannot be put back into the form: from now on its text stands in the field.
        again = {"pem": pem, "reason": form.cleaned_data["reason"]}
        context |= {"fingerprint": figures.fours(print_of), "compared": print_of}
        context["form"] = form if form.errors else RecipientForm(initial=again)
    return render(request, "keys/wrap.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.reveal")
@fresh_factor
def key_reveal(request: PageRequest, pk: int) -> HttpResponse:
    """Ask a second custodian; once they have approved, show the key once."""
    row = found(request, pk)
    user, organisation = request.access.user, request.access.organisation
    asked = mine(user, organisation).filter(deed=DEED, subject=subject(row)).first()
    line = approvals.line(asked, timezone.now()) if asked is not None else None
    open_one = line.row if line is not None and line.open else None
    approved = open_one is not None and open_one.state == Approval.State.APPROVED
    context: dict[str, Any] = {"key": row, "title": keys_words.title(row), "line": line, "approved": approved}
    form = ReasonForm(request.POST if request.method == "POST" and open_one is None else None)
    if request.method == "POST" and open_one is not None and approved:
        return _shown(request, row, open_one.reason, context)
    if request.method == "POST" and form.is_valid():
        summary = _("Reveal: {key}, check value {value}").format(key=context["title"], value=row.check_value.upper())
        try:
            ask(user, organisation, DEED, subject(row), summary, form.cleaned_data["reason"])
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            text = _("Asked. Another key custodian finds it under Approvals; come back here when they have approved.")
            messages.success(request, text, extra_tags="ok")
            return redirect("key-reveal", pk)
    return render(request, "keys/reveal.html", {**context, "form": form})


def _shown(request: PageRequest, row: DeviceKey, reason: str, context: dict[str, Any]) -> HttpResponse:
    try:
        revealed = reveal(request.access.user, row, reason)
    except Forbidden:
        raise
    except MeterspanError as error:
        messages.error(request, str(error), extra_tags="bad")
        return redirect("key-reveal", row.pk)
    value = figures.fours(revealed.value.upper())
    return render(request, "keys/once.html", {**context, "value": value, "seconds": SHOWN_S})


def _file(content: str, name: str) -> HttpResponse:
    answer = HttpResponse(content, content_type="application/x-pem-file")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "private, no-store"
    return answer
