"""What machines ask: alive, ready, figures."""

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from portal.ops.health import CHECKS
from portal.ops.metrics import Exposition

_exposition = Exposition()


@never_cache
@require_safe
def healthz(_: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(_: HttpRequest) -> JsonResponse:
    """200 when all parts work, else 503; the body says which do not."""
    faults = {name: check() for name, check in CHECKS.items()}
    body = {"status": "degraded" if any(faults.values()) else "ok"}
    return JsonResponse(
        {**body, **{name: fault or "ok" for name, fault in faults.items()}}, status=503 if any(faults.values()) else 200
    )


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For the holder of MSPAN_METRICS_TOKEN; where there is none, for this machine itself."""
    if not _may_read(request):
        return HttpResponse("Ask with the token of MSPAN_METRICS_TOKEN.\n", status=403, content_type="text/plain")
    return HttpResponse(_exposition.text(), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        wanted = f"Bearer {settings.METRICS_TOKEN}".encode()
        return hmac.compare_digest(request.headers.get("Authorization", "").encode(), wanted)
    forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    return not forwarded and request.META.get("REMOTE_ADDR") in {"127.0.0.1", "::1"}
