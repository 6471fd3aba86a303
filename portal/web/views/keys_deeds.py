"""What is done with one key: activate, retire, revoke, destroy, each with a reason and a fresh second factor."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.web import keys_counts, keys_words
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.second_factor import fresh_factor
from provisioning.errors import Forbidden
from provisioning.keys import services
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.queries import visible_keys
from provisioning.keys.services.lifecycle import STEPS as LEADS


@dataclass(frozen=True, slots=True)
class Step:
    """A deed in words: what it is called, what it means, what is said afterwards."""

    name: str
    to: KeyState
    act: Callable[[Any, DeviceKey, str], DeviceKey]
    verb: str | Promise
    question: str | Promise
    meaning: str | Promise
    done: str | Promise
    danger: bool = False


STEPS: Final = {
    step.name: step
    for step in (
        Step(
            "activate",
            KeyState.ACTIVE,
            services.activate,
            gettext_lazy("Make it active"),
            gettext_lazy("Make this key the active one?"),
            gettext_lazy(
                "Do it when you know that the device uses it, such as after a key file was loaded. The active key "
                "of the same purpose and partner retires: it opens what comes late for three days more."
            ),
            gettext_lazy("The key is active."),
        ),
        Step(
            "retire",
            KeyState.RETIRING,
            services.retire,
            gettext_lazy("Retire it"),
            gettext_lazy("Retire this key?"),
            gettext_lazy(
                "It opens what comes late for three days more, and nothing after that. Without a successor the "
                "adapter's telegrams are then refused: rotate its keys instead if it shall go on."
            ),
            gettext_lazy("The key retires."),
        ),
        Step(
            "revoke",
            KeyState.REVOKED,
            services.revoke,
            gettext_lazy("Revoke it"),
            gettext_lazy("Revoke this key?"),
            gettext_lazy(
                "From this moment on nothing under it is accepted, and the adapter is told to forget it. There is no "
                "way back. Stored values stay readable: they are sealed anew before it is destroyed."
            ),
            gettext_lazy("The key is revoked. Nothing under it is accepted any more."),
            danger=True,
        ),
        Step(
            "destroy",
            KeyState.DESTROYED,
            services.destroy,
            gettext_lazy("Destroy it"),
            gettext_lazy("Destroy this key?"),
            gettext_lazy(
                "Its value is erased for good, here and in every later backup, and its slot becomes free. What was "
                "sealed under it elsewhere opens no more. Its line in the inventory and in the audit stays."
            ),
            gettext_lazy("The key is destroyed."),
            danger=True,
        ),
    )
}


class ReasonForm(forms.Form):
    """Why; it stays in the audit."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=200, help_text=gettext_lazy("It stays in the audit.")
    )


class DangerForm(ReasonForm):
    """Why, and that the right key is meant."""

    confirm = forms.CharField(
        label=gettext_lazy("Check value of the key"),
        max_length=20,
        help_text=gettext_lazy("Type its six digits: then it is the key that you mean."),
        widget=forms.TextInput({"class": "id", "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )

    def __init__(self, check_value: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._check_value = check_value
        if not check_value:
            del self.fields["confirm"]

    def clean_confirm(self) -> str:
        text = "".join(str(self.cleaned_data["confirm"]).split()).lower()
        if text != self._check_value.lower():
            raise forms.ValidationError(
                _("This is not the check value of this key. Nothing was changed; look again which key you mean.")
            )
        return text


def possible(key: DeviceKey) -> list[str]:
    """The deeds that lead on from the key's state."""
    waits = (KeyState.GENERATED, KeyState.IMPORTED)
    found = [name for name, step in STEPS.items() if key.state in LEADS[step.to]]
    # A new LMN key is handed over and delivered; nobody makes it active by hand.
    return [name for name in found if not (name == "activate" and key.purpose == Purpose.LMN and key.state in waits)]


@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.lifecycle")
@fresh_factor
def key_step(request: PageRequest, pk: int, name: str) -> HttpResponse:
    """Say what it means, ask why, then do it."""
    row = found(request, pk)
    step = STEPS[name]
    if name not in possible(row):
        text = _("That does not lead on from the state that the key is in by now.")
        messages.warning(request, text, extra_tags="warn")
        return redirect("key", pk)
    data = request.POST or None
    form = DangerForm(row.check_value, data) if step.danger else ReasonForm(data)
    if request.method == "POST" and form.is_valid():
        try:
            step.act(request.access.user, row, form.cleaned_data["reason"])
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            keys_counts.shelf.forget(request.access.organisation.pk)
            messages.success(request, str(step.done), extra_tags="ok")
            return redirect("key", pk)
    context = {"key": row, "title": keys_words.title(row), "step": step, "form": form}
    return render(request, "keys/step.html", context)


def found(request: PageRequest, pk: int) -> DeviceKey:
    """404 for a key that this member may not see."""
    access = request.access
    rows = visible_keys(access.user, access.organisation).select_related("organisation")
    return get_object_or_404(rows, pk=pk)
