"""What the frame around every page shows: the organisation, the navigation and its counts, words for the scripts."""

from dataclasses import dataclass
from functools import cached_property
from time import time

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from portal.web import pairings_counts, summary
from portal.web.access import Access, access_of
from portal.web.shelf import shown_s
from portal.web.words import role_name, words
from provisioning.accounts.models import Organisation, User
from provisioning.accounts.permissions import Action
from provisioning.approvals.queries import waiting

THEME_COOKIE = "theme"


@dataclass(frozen=True, slots=True)
class Link:
    url: str
    name: str | Promise
    icon: str
    on: bool
    count: int = 0
    mild: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    name: str | Promise
    links: list[Link]


# group -> (URL name, words, icon, what the role must allow)
_NAV: list[tuple[str | Promise, list[tuple[str, str | Promise, str, Action]]]] = [
    (
        "",
        [
            ("overview", _("Overview"), "home", "fleet.view"),
            ("incidents", _("Incidents"), "alert", "fleet.view"),
            ("sites", _("Sites"), "site", "fleet.view"),
            ("adapters", _("Adapters"), "adapter", "fleet.view"),
            ("batches", _("Batches"), "batch", "batches.import"),
            ("pairings", _("Pairings"), "pairing", "fleet.view"),
            ("labels", _("Labels"), "label", "labels.print"),
            ("concentrators", _("Concentrators"), "concentrator", "fleet.view"),
            ("install", _("Install"), "scan", "pairing.create"),
        ],
    ),
    (
        _("Operations"),
        [
            ("readings", _("Readings"), "reading", "readings.view"),
            ("keys", _("Keys"), "key", "keys.view"),
            ("approvals", _("Approvals"), "approval", "keys.view"),
            ("archive", pgettext_lazy("place", "Archive"), "archive", "fleet.view"),
            ("certificates", _("Certificates"), "certificate", "pki.view"),
            ("audit", _("Audit"), "audit", "audit.view"),
        ],
    ),
    (_("Personal"), [("tokens", _("Tokens"), "token", "token.own"), ("account", _("Account"), "user", "token.own")]),
]
_TABS = ("overview", "incidents", "sites", "adapters")
_BELOW = {"keys": ("/campaigns/", "/schedules/")}  # pages under a link that their addresses do not begin with


class Shell:
    """The frame; every part is worked out only when the template asks for it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def _access(self) -> Access | None:
        return access_of(self._request) if hasattr(self._request, "user") else None

    @property
    def organisation(self) -> Organisation | None:
        return self._access.organisation if self._access else None

    @property
    def role(self) -> str:
        return role_name(self._access.membership.role) if self._access else ""

    @property
    def several(self) -> bool:
        return self._access.several if self._access else False

    @property
    def made(self) -> str:
        """Since when this page may have missed what was told, s since 1970: its facts may be older than itself."""
        return f"{min(self._access.at, time() - shown_s()):.2f}" if self._access else ""

    @property
    def zone(self) -> str:
        return timezone.get_current_timezone_name()

    @property
    def theme(self) -> str:
        """ "light" or "dark" when the user chose one, else empty: as the device."""
        user = getattr(self._request, "user", None)
        theme = user.theme if isinstance(user, User) else self._request.COOKIES.get(THEME_COOKIE, "")
        return theme if theme in {"light", "dark"} else ""

    @property
    def words(self) -> dict[str, str]:
        return words()

    @cached_property
    def may(self) -> dict[str, bool]:
        """For templates: `shell.may.fleet_edit`."""
        from provisioning.accounts.permissions import ACTIONS

        access = self._access
        return {action.replace(".", "_"): access.may(action) for action in ACTIONS} if access else {}

    @cached_property
    def nav(self) -> list[Group]:
        access = self._access
        if access is None:
            return []
        groups = [Group(name, [self._link(*link[:3]) for link in links if access.may(link[3])]) for name, links in _NAV]
        return [group for group in groups if group.links]

    @cached_property
    def tabs(self) -> list[Link]:
        links = {link.url: link for group in self.nav for link in group.links}
        return [links[url] for name in _TABS if (url := reverse(name)) in links]

    def _link(self, name: str, words: str | Promise, icon: str) -> Link:
        url = reverse(name)
        path = self._request.path
        on = path == url or (url != "/" and path.startswith((url, *_BELOW.get(name, ()))))
        count, mild = self._counts.get(name, (0, False))
        return Link(url, words, icon, on, count, mild)

    @cached_property
    def _counts(self) -> dict[str, tuple[int, bool]]:
        assert self._access is not None
        incidents = summary.incidents(self._access)
        bad = any(incident.form == "bad" for incident in incidents)
        pairing = pairings_counts.of(self._access)
        return {
            "incidents": (len(incidents), not bad),
            "pairings": (pairing.people, not pairing.mismatch),
            "approvals": (self._approvals, True),
        }

    @property
    def _approvals(self) -> int:
        access = self._access
        assert access is not None
        return waiting(access.user, access.organisation).count() if access.may("keys.approve") else 0


def shell(request: HttpRequest) -> dict[str, Shell]:
    """Context processor: `shell` in every template."""
    return {"shell": Shell(request)}
