"""How a time slot is, in four forms with a word and what to do: from what its adapter says and what was measured."""

from dataclasses import dataclass
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.telemetry.slot_queries import KINDS
from portal.web.states import Form, State
from provisioning.slots.models import Assignment


class _Said(NamedTuple):
    form: Form
    word: str | Promise
    cure: str | Promise = ""


# Worst first: a slot is shown as the first of these that is true of it.
_SAID: dict[str, _Said] = {
    "echo": _Said(
        "bad",
        _("runs another slot than given"),
        _("Its configuration did not arrive, or the portal was restored from a backup. Send its configuration again."),
    ),
    "outside": _Said(
        "bad",
        _("ignores its slot"),
        _("It sends at other times than it says. Look at its firmware; until then it disturbs others."),
    ),
    "refused": _Said(
        "bad",
        _("refused its slot"),
        _("Its firmware does not know what it was told. It sends at random moments, as without a slot."),
    ),
    "lost": _Said(
        "bad",
        _("loses telegrams in its slot"),
        _("Something else sends at the same time, or its signal is too weak: look at its radio link."),
    ),
    "no_trust": _Said(
        "warn",
        _("does not trust its clock"),
        _("It sends at random moments until its concentrator has told it the time often enough; that goes by itself."),
    ),
    "guard": _Said(
        "warn",
        _("guard nearly used up"),
        _("Its clock is told the time too seldom: look at the answers it gets, plan a beacon, or a wider guard."),
    ),
    "drift": _Said(
        "warn",
        _("clock drifts far"),
        _("More than 50 ppm: very cold, very hot, or a bad crystal. Replace the adapter when it stays like this."),
    ),
    "overlap": _Said(
        "warn",
        _("shares time with others"),
        _("There was no room of its own left. It gets one by itself when there is room again."),
    ),
    "waits": _Said(
        "idle",
        _("waits for its adapter"),
        _("The adapter takes it over with its next configuration; nobody has to do anything."),
    ),
    "fine": _Said("ok", _("kept")),
    "conflict": _Said(
        "bad",
        _("meets a slot here"),
        _("Its own concentrator and this one gave times that meet. Move one of the two adapters to the other one."),
    ),
    "neighbour": _Said("idle", _("heard from a neighbour")),
}
CODES = tuple(_SAID)
TROUBLES = KINDS  # each of them is a state too, in the same order


@dataclass(frozen=True, slots=True)
class Slotted:
    """A slot's state, and what to do about it (empty: nothing)."""

    code: str
    state: State
    cure: str


def code_of(version: int, echoed_version: int | None, echoed_state: int | None, overlap_ms: int, trouble: str) -> str:
    """Which of CODES is true of a slot of its own concentrator; `trouble`: what was measured, or empty."""
    heard = echoed_version == version
    found = {
        trouble,
        "refused" if heard and echoed_state == Assignment.State.REFUSED else "",
        "no_trust" if heard and echoed_state == Assignment.State.NO_TRUST else "",
        "overlap" if overlap_ms else "",
        "waits" if not heard or echoed_state == Assignment.State.NONE else "",
        "fine",
    }
    return next(code for code in CODES if code in found)


def of_row(row: Assignment, trouble: str = "") -> Slotted:
    """The state of an assignment that has a slot."""
    return said(code_of(row.version, row.echoed_version, row.echoed_state, row.overlap_ms, trouble))


def said(code: str) -> Slotted:
    """One of CODES in words."""
    form, word, cure = _SAID[code]
    return Slotted(code, State(form, str(word)), str(cure))
