"""Addresses of EST (RFC 7030, 3.2.2), and what certificates refer to."""

from django.urls import path

from portal.est import publication, views

_OPERATIONS = {
    "cacerts": views.cacerts,
    "csrattrs": views.csrattrs,
    "simpleenroll": views.simpleenroll,
    "simplereenroll": views.simplereenroll,
    "serverkeygen": views.serverkeygen,
    "fullcmc": views.fullcmc,
}

urlpatterns = [
    *(path(f".well-known/est/{name}", view, name=f"est-{name}") for name, view in _OPERATIONS.items()),
    *(path(f".well-known/est/<slug:label>/{name}", view) for name, view in _OPERATIONS.items()),
    path("pki/<int:pk>.crl", publication.revocation_list, name="pki-list"),
    path("pki/<int:pk>.cer", publication.authority, name="pki-authority"),
]
