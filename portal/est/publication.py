"""What everybody may read: authorities' certificates and their lists of revoked ones, also without TLS."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from provisioning.pki.queries import latest_list, trusted_authorities

LIST_S = 300  # caches may keep a list that long


@require_safe
def revocation_list(request: HttpRequest, pk: int) -> HttpResponse:
    """The list in force (DER)."""
    latest = latest_list(get_object_or_404(trusted_authorities(), pk=pk))
    if latest is None:
        raise Http404
    headers = {"Cache-Control": f"public, max-age={LIST_S}"}
    return HttpResponse(bytes(latest.der), content_type="application/pkix-crl", headers=headers)


@require_safe
def authority(request: HttpRequest, pk: int) -> HttpResponse:
    """The certificate (DER)."""
    row = get_object_or_404(trusted_authorities(), pk=pk)
    return HttpResponse(bytes(row.certificate), content_type="application/pkix-cert")
