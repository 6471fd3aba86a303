"""LMN keys for the administrator of a gateway: prepare, make the file, download, acknowledge, withdraw [0028]."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from meterwire.errors import MeterspanError
from portal.web import figures, keys_counts, keys_words
from portal.web.access import Access, PageRequest, page
from portal.web.fields import SiteField
from portal.web.forms import refuse
from portal.web.keyset import Order, paged
from portal.web.second_factor import fresh_factor
from portal.web.views.keys_leave import RecipientForm
from provisioning.campaigns import services
from provisioning.campaigns.models import LmnHandover
from provisioning.campaigns.queries import visible_handovers
from provisioning.campaigns.services.handover import MAX_KEYS
from provisioning.campaigns.services.planning import MAX_PER_HOUR
from provisioning.campaigns.vault_operation import make_file
from provisioning.errors import Forbidden
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.queries import visible_keys
from provisioning.keys.services import issue_lmn_keys


class KeyChoice(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """LMN keys by their adapters."""

    widget = forms.CheckboxSelectMultiple

    def label_from_instance(self, key: DeviceKey) -> str:
        value = key.check_value.upper()
        return _("{key} · check value {value}").format(key=keys_words.title(key), value=value)


class HandoverForm(RecipientForm):
    """For whom, and which keys."""

    field_order = ("name", "pem", "file", "keys", "reason")

    def __init__(self, access: Access, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = forms.CharField(
            label=_("Recipient"), max_length=120, help_text=_("The gateway administrator, as you call them.")
        )
        self.fields["keys"] = KeyChoice(waiting(access), label=_("LMN keys that nobody uses yet"))
        self.order_fields(self.field_order)


class LmnKeysForm(forms.Form):
    """Where."""

    def __init__(self, access: Access, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        text = _("Each adapter there gets a new LMN key that waits for its hand-over; the one in use stays in use.")
        self.fields["site"] = SiteField(access, help_text=text, empty_label=None)


class AcknowledgeForm(forms.Form):
    """How the recipient confirmed."""

    reason = forms.CharField(
        label=gettext_lazy("How do you know that the gateway has the keys?"),
        max_length=200,
        help_text=gettext_lazy("Such as the name, and the date of their message. It stays in the audit."),
    )
    per_hour = forms.IntegerField(
        label=gettext_lazy("Deliveries begun in an hour"), min_value=1, max_value=MAX_PER_HOUR, initial=60
    )


class WithdrawForm(forms.Form):
    """Why it comes to nothing."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=200, help_text=gettext_lazy("It stays in the audit.")
    )


def waiting(access: Access) -> Any:
    """LMN keys that are not in use and in no hand-over that is open."""
    rows = visible_keys(access.user, access.organisation)
    rows = rows.filter(purpose=Purpose.LMN, state__in=[KeyState.GENERATED, KeyState.IMPORTED])
    open_ones = LmnHandover.objects.filter(
        organisation=access.organisation, acknowledged_at=None, withdrawn_at=None, keys__isnull=False
    )
    return rows.exclude(pk__in=open_ones.values("keys")).order_by("adapter__dev_eui", "pk")


@require_safe
@page("keys.view")
def handover_list(request: PageRequest) -> HttpResponse:
    """All hand-overs, the latest first."""
    access = request.access
    found = paged(visible_handovers(access.user, access.organisation), Order(("-created_at", "-pk")), request.GET)
    lines = [(row, keys_words.of_handover(row)) for row in found.rows]
    context = {"page": found, "lines": lines, "waiting": waiting(access).count()}
    return render(request, "keys/handovers.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.rotate")
@fresh_factor
def handover_new(request: PageRequest) -> HttpResponse:
    """Choose keys and recipient; the file is made in a second step, when the fingerprint was compared."""
    access = request.access
    form = HandoverForm(access, request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = services.prepare_handover(
                access.user,
                access.organisation,
                list(data["keys"][: MAX_KEYS + 1]),
                name=data["name"],
                public_key=data["pem"],
                reason=data["reason"],
            )
        except MeterspanError as error:
            refuse(form, error, {"recipient": "pem"})
        else:
            return redirect("handover", made.pk)
    context = {"form": form, "any": waiting(access).exists()}
    return render(request, "keys/handover_new.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.issue")
@fresh_factor
def lmn_keys_new(request: PageRequest) -> HttpResponse:
    """New LMN keys for the adapters of a site."""
    form = LmnKeysForm(request.access, request.POST or None)
    if request.method == "POST" and form.is_valid() and form.cleaned_data["site"] is not None:
        try:
            made = issue_lmn_keys(request.access.user, form.cleaned_data["site"])
        except MeterspanError as error:
            refuse(form, error)
        else:
            keys_counts.shelf.forget(request.access.organisation.pk)
            text = ngettext("{n} new LMN key waits for its hand-over.", "{n} new LMN keys wait.", len(made))
            messages.success(request, text.format(n=len(made)), extra_tags="ok")
            return redirect("handovers")
    return render(request, "keys/lmn_new.html", {"form": form})


@require_safe
@page("keys.view")
def handover(request: PageRequest, pk: int) -> HttpResponse:
    """One hand-over and its next step."""
    row = _handover(request, pk)
    return _shown(request, row, AcknowledgeForm(), WithdrawForm())


@never_cache
@require_POST
@page("keys.reveal")
@fresh_factor
def handover_file(request: PageRequest, pk: int) -> HttpResponse:
    """Make the file, or hand the one that was made out once more."""
    row, user = _handover(request, pk), request.access.user
    if row.made_at is None and request.POST.get("compared") != "yes":
        text = _("Compare the fingerprint with the recipient first, and say that you did.")
        messages.warning(request, text, extra_tags="warn")
        return redirect("handover", pk)
    try:
        content = make_file(user, row) if row.made_at is None else services.download(user, row)
    except Forbidden:
        raise
    except MeterspanError as error:
        messages.error(request, str(error), extra_tags="bad")
        return redirect("handover", pk)
    answer = HttpResponse(content, content_type="application/x-pem-file")
    answer["Content-Disposition"] = f'attachment; filename="lmn-handover-{row.pk}.pem"'
    answer["Cache-Control"] = "private, no-store"
    return answer


@require_POST
@page("keys.rotate")
@fresh_factor
def handover_acknowledge(request: PageRequest, pk: int) -> HttpResponse:
    """The gateway knows the keys: deliver them."""
    row, form = _handover(request, pk), AcknowledgeForm(request.POST)
    if form.is_valid():
        try:
            campaign = services.acknowledge(request.access.user, row, **form.cleaned_data)
        except MeterspanError as error:
            refuse(form, error)
        else:
            keys_counts.shelf.forget(request.access.organisation.pk)
            text = _("Acknowledged. The keys go out to their adapters from now on.")
            messages.success(request, text, extra_tags="ok")
            return redirect("campaign", campaign.pk)
    return _shown(request, row, form, WithdrawForm())


@require_POST
@page("keys.rotate")
@fresh_factor
def handover_withdraw(request: PageRequest, pk: int) -> HttpResponse:
    """Give it up; its keys wait again."""
    row, form = _handover(request, pk), WithdrawForm(request.POST)
    if form.is_valid():
        try:
            services.withdraw(request.access.user, row, form.cleaned_data["reason"])
        except MeterspanError as error:
            refuse(form, error)
        else:
            text = _("Withdrawn. Revoke the keys if their file has left the house.")
            messages.success(request, text, extra_tags="ok")
            return redirect("handover", pk)
    return _shown(request, row, AcknowledgeForm(), form)


def _shown(request: PageRequest, row: LmnHandover, acknowledging: forms.Form, withdrawing: forms.Form) -> HttpResponse:
    keys = row.keys.select_related("adapter").defer("sealed").order_by("adapter__dev_eui", "pk")
    context = {
        "handover": row,
        "state": keys_words.of_handover(row),
        "keys": [(key, keys_words.title(key)) for key in keys],
        "fingerprint": figures.fours(row.fingerprint),
        "acknowledging": acknowledging,
        "withdrawing": withdrawing,
        "open": row.acknowledged_at is None and row.withdrawn_at is None,
    }
    return render(request, "keys/handover.html", context)


def _handover(request: PageRequest, pk: int) -> LmnHandover:
    access = request.access
    rows = visible_handovers(access.user, access.organisation).select_related("organisation")
    return get_object_or_404(rows, pk=pk)
