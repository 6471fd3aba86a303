"""What needs somebody."""

from dataclasses import dataclass
from datetime import datetime

from portal.web.states import Form


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened, how many are affected, since when, and where to look."""

    form: Form
    title: str
    text: str
    since: datetime | None
    affected: int
    url: str
    cure: str = ""
