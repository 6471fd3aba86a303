"""How a request for approval stands at a moment, in words."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from portal.web.states import State
from provisioning.approvals.models import Approval


@dataclass(frozen=True, slots=True)
class Line:
    """A request, its state, and whether something can still become of it."""

    row: Approval
    state: State
    open: bool


def line(row: Approval, now: datetime) -> Line:
    """How `row` stands at `now`: one that nobody decided or used in time has lapsed."""
    states = Approval.State
    open_still = row.state in {states.PENDING, states.APPROVED} and row.expires_at > now
    words = {
        states.PENDING: State("warn", _("waits")),
        states.APPROVED: State("ok", _("approved")),
        states.REFUSED: State("bad", _("refused")),
        states.WITHDRAWN: State("idle", _("withdrawn")),
        states.USED: State("ok", _("used")),
    }
    lapsed = not open_still and row.state in {states.PENDING, states.APPROVED}
    return Line(row, State("idle", _("lapsed")) if lapsed else words[states(row.state)], open_still)
