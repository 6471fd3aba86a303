"""What the app knows of the person, so that it can go on without network: organisation, sites, rights."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.middleware.csrf import get_token

from portal.web.access import Access
from portal.web.install.assets import version
from provisioning.accounts.permissions import ACTIONS
from provisioning.fleet.queries import visible_sites

MAX_SITES = 1000  # names that a phone carries; beyond that it asks by name while it has network
MAX_FOUND = 30
MAX_NAME = 120


def session_of(request: HttpRequest, access: Access, language: str) -> dict[str, Any]:
    """The answer of `/install/session/`."""
    user, rows = access.user, sites(access, "", MAX_SITES + 1)
    return {
        "user": {"id": user.pk, "name": user.get_full_name() or user.email, "theme": user.theme},
        "organisation": {"id": access.organisation.pk, "name": access.organisation.name},
        "csrf": get_token(request),
        "language": language,
        "permissions": [action for action in ACTIONS if access.may(action)],
        "sites": rows[:MAX_SITES],
        "more_sites": len(rows) > MAX_SITES,
        "version": version(),
    }


def sites(access: Access, text: str, limit: int) -> list[dict[str, Any]]:
    """Sites where the person may work, by name; with a text only those that contain it."""
    rows = visible_sites(access.user, access.organisation)
    if text:
        rows = rows.filter(name__icontains=text[:MAX_NAME])
    found = rows.order_by("name", "pk").values("id", "name", "street", "postcode", "city")[:limit]
    return [
        {"id": row["id"], "name": row["name"], "address": ", ".join(filter(None, (row["street"], _place(row))))}
        for row in found
    ]


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['postcode']} {row['city']}".strip()
