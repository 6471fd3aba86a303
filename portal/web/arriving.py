"""What every way of logging in ends with: where to go on, and in which language."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import url_has_allowed_host_and_scheme

YEAR_S = 365 * 86400


def with_language(answer: HttpResponse, code: str) -> HttpResponse:
    """Keep the language (empty: as the browser) for this browser."""
    if code:
        answer.set_cookie(
            settings.LANGUAGE_COOKIE_NAME, code, max_age=YEAR_S, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax"
        )
    return answer


def safe(request: HttpRequest, target: str | None) -> str:
    """`target` when it is a page of this portal, else the overview."""
    if target and url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        return target
    return "/"
