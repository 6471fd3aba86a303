"""System checks: what about certificates is set up wrongly, found at start."""

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DatabaseError
from django.utils import timezone

from provisioning.pki.services.lists import stale


def revocation_lists(**_: Any) -> list[CheckMessage]:
    """pki.W001 (deploy): a list of revoked certificates is missing, over or nearly so."""
    try:
        reason = stale(timezone.now())
    except DatabaseError:
        return []
    hint = "manage.py pki_crl signs it anew; the scheduler (celery with -B) and the vault process do so by themselves."
    return [Warning(f"{reason[:1].upper()}{reason[1:]}.", hint=hint, id="pki.W001")] if reason else []


def certificate_header(**_: Any) -> list[CheckMessage]:
    """pki.E001: the header for a proxy's client certificate is no header name or one that clients use themselves."""
    header = settings.EST_CERTIFICATE_HEADER
    if not header or re.fullmatch(r"X-[A-Za-z0-9-]{1,60}", header, re.ASCII):
        return []
    hint = "Use X-SSL-Client-Cert, and let the proxy overwrite it in every request."
    return [Error("MSPAN_EST_CERTIFICATE_HEADER must be a header of its own, X-….", hint=hint, id="pki.E001")]
