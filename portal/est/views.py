"""The operations of EST; each answer that refuses says in a sentence what to do."""

import base64
import binascii
import logging
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Concatenate, Final, ParamSpec

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from meterwire.curves import Curve
from meterwire.errors import MeterspanError
from portal.est import attributes, wire
from portal.est.client_certificate import client_certificate
from provisioning.accounts.models import Organisation
from provisioning.errors import Conflict
from provisioning.pki import claims
from provisioning.pki.claims import Claim
from provisioning.pki.errors import NotEntitled, NotRecognised, RequestRefused
from provisioning.pki.models import Enrolment
from provisioning.pki.queries import active_authority, trusted_authorities
from provisioning.pki.services import issue_by_vault, note_refusal, request_certificate

logger = logging.getLogger(__name__)

WAIT_S: Final = 60  # until a person may have decided
AWAY_S: Final = 30  # until the vault may be back
P = ParamSpec("P")
_View = Callable[Concatenate[HttpRequest, str, P], HttpResponse]


def _est(method: str) -> Callable[[_View[P]], Callable[..., HttpResponse]]:
    """An operation under either address: `label` is empty or an organisation's slug. Demands TLS and the method."""

    def guard(view: _View[P]) -> Callable[..., HttpResponse]:
        @csrf_exempt  # a machine without cookies: nothing it sends comes by itself
        @wraps(view)
        def guarded(request: HttpRequest, label: str = "", *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if request.method != method:
                return wire.told(405, _("Ask with {method}.").format(method=method), Allow=method)
            if not request.is_secure():
                return wire.told(403, _("EST is spoken over TLS only; use https."))
            if label and not Organisation.objects.filter(slug=label).exists():
                return wire.told(404, _("There is no organisation of this name here; leave the label away."))
            return view(request, label, *args, **kwargs)

        return guarded

    return guard


@_est("GET")
def cacerts(request: HttpRequest, label: str) -> HttpResponse:
    """The certificates of the trusted authorities, the active one first."""
    found = [bytes(authority.certificate) for authority in trusted_authorities()]
    return wire.certificates(found) if found else _no_authority()


@_est("GET")
def csrattrs(request: HttpRequest, label: str) -> HttpResponse:
    """What a request should look like."""
    authority = active_authority()
    return wire.attributes(attributes.wanted(Curve(authority.curve))) if authority else _no_authority()


@_est("POST")
def simpleenroll(request: HttpRequest, label: str) -> HttpResponse:
    """A first certificate, for a one-time password or a manufacturer's certificate."""

    def claim(now: datetime) -> Claim:
        if (basic := _basic(request)) is not None:
            return claims.by_password(*basic, label, now)
        if (der := client_certificate(request)) is None:
            raise NotRecognised(_("Show a one-time password (HTTP Basic, user name is the EUI) or a certificate."))
        return claims.by_manufacturer(der, label, now)

    return _enrolled(request, claim)


@_est("POST")
def simplereenroll(request: HttpRequest, label: str) -> HttpResponse:
    """The next certificate, for the present one: same names, another key."""

    def claim(now: datetime) -> Claim:
        if (der := client_certificate(request)) is None:
            raise NotRecognised(_("Show the certificate that is to be renewed in the TLS handshake."))
        return claims.by_certificate(der, label, now)

    return _enrolled(request, claim)


@_est("POST")
def serverkeygen(request: HttpRequest, label: str) -> HttpResponse:
    """Refused: a concentrator makes its key itself, and nobody else ever has it."""
    return wire.told(501, _("Keys are made on the device and nowhere else; use simpleenroll."))


@_est("POST")
def fullcmc(request: HttpRequest, label: str) -> HttpResponse:
    """Not offered."""
    return wire.told(501, _("Full CMC is not offered; use simpleenroll."))


def _enrolled(request: HttpRequest, claimed: Callable[[datetime], Claim]) -> HttpResponse:
    now, claim = timezone.now(), None
    if int(request.headers.get("Content-Length") or 0) > wire.MAX_BODY or len(request.body) > wire.MAX_BODY:
        return wire.told(413, _("The body is larger than {limit} bytes.").format(limit=wire.MAX_BODY))
    try:
        claim = claimed(now)
        der = _der(request)
        enrolment = request_certificate(claim, der, request.META.get("REMOTE_ADDR") or None, now)
        if enrolment.state == Enrolment.State.WAITING:
            return wire.told(202, _("The request waits for approval in the portal."), Retry_After=str(WAIT_S))
        return wire.certificates([bytes(issue_by_vault(enrolment).der)])
    except NotRecognised as error:
        logger.warning("EST refused %s: %s", request.META.get("REMOTE_ADDR"), error)
        return wire.told(401, str(error), WWW_Authenticate='Basic realm="EST", charset="UTF-8"')
    except (RequestRefused, NotEntitled) as error:
        if claim is not None:
            note_refusal(claim.concentrator, error.fault, str(error), now)
        logger.warning("EST refused %s: %s", claim.concentrator.eui if claim else "somebody", error)
        return wire.told(400 if isinstance(error, RequestRefused) else 403, str(error))
    except MeterspanError as error:
        logger.exception("EST could not issue a certificate")
        if isinstance(error, Conflict):
            return wire.told(409, str(error))
        return wire.told(503, str(error), Retry_After=str(AWAY_S))


def _der(request: HttpRequest) -> bytes:
    kind = (request.content_type or "").lower()
    if kind != wire.REQUEST_TYPE:
        raise RequestRefused("content_type", _("Send the request as {kind}.").format(kind=wire.REQUEST_TYPE))
    try:
        return wire.decoded(request.body)
    except ValueError:
        raise RequestRefused(
            "base64", _("The body must be the request's DER in base64, without PEM's lines.")
        ) from None


def _basic(request: HttpRequest) -> tuple[str, str] | None:
    scheme, _blank, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _colon, password = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


def _no_authority() -> HttpResponse:
    return wire.told(503, _("This portal has no issuing authority yet; run manage.py pki_init."), Retry_After="300")
