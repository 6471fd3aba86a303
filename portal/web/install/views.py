"""The app's page, its service worker and manifest, and the session that it asks for."""

import json
from collections.abc import Callable
from functools import wraps

from csp.constants import SELF, WASM_UNSAFE_EVAL
from csp.decorators import csp_replace
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_safe

from portal.web.access import Access, PageRequest, access_of, page
from portal.web.install import assets
from portal.web.install.session import MAX_FOUND, session_of, sites
from portal.web.install.words import install_words
from portal.web.words import words

_JSON = {"Cache-Control": "no-store"}


@require_safe
@csp_replace({"script-src": [SELF, WASM_UNSAFE_EVAL], "style-src": [SELF]})
@page("pairing.create")
def install(request: PageRequest) -> HttpResponse:
    """The page. It carries nothing about anybody, because the phone keeps it for the time without network."""
    modules = [address for address in assets.addresses() if address.endswith(".js")]
    context = {"words": {**words(), **install_words()}, "modules": modules}
    answer = render(request, "install/shell.html", context)
    answer["Permissions-Policy"] = "camera=(self)"
    answer["Cache-Control"] = "no-cache"
    answer["X-Install-Version"] = assets.version()
    return answer


@require_safe
def worker(request: HttpRequest) -> HttpResponse:
    """The service worker; its scope is the folder of its address."""
    lists = {
        "version": assets.version(),
        "decoder_version": assets.decoder_version(),
        "shell": assets.SHELL,
        "files": assets.addresses(),
        "decoder": assets.decoder(),
    }
    answer = render(request, "install/worker.js", {"lists": json.dumps(lists)}, content_type="text/javascript")
    answer["Cache-Control"] = "no-cache"
    return answer


@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """What the home screen needs."""
    icon = {"sizes": "512x512", "type": "image/png"}
    content = {
        "id": assets.SHELL,
        "name": _("Meterspan installation"),
        "short_name": _("Install"),
        "description": _("Pair adapters with their meters by phone, also without network."),
        "lang": get_language(),
        "start_url": assets.SHELL,
        "scope": assets.SHELL,
        "display": "standalone",
        "orientation": "portrait",
        "background_color": "#f6f8f9",
        "theme_color": "#0b6e69",
        "icons": [
            {"src": static("install/icon-192.png"), "sizes": "192x192", "type": "image/png"},
            {"src": static("install/icon-512.png"), **icon},
            {"src": static("install/icon-maskable.png"), **icon, "purpose": "maskable"},
            {"src": static("install/icon.svg"), "sizes": "any", "type": "image/svg+xml"},
        ],
    }
    return JsonResponse(content, content_type="application/manifest+json", headers={"Cache-Control": "no-cache"})


def _answers(view: Callable[[HttpRequest, Access], JsonResponse]) -> Callable[[HttpRequest], HttpResponseBase]:
    """For scripts, who need a status where `page` would lead a person to the login."""

    @never_cache
    @require_GET
    @wraps(view)
    def guarded(request: HttpRequest) -> JsonResponse:
        access = access_of(request)
        if access is None:
            body = {"code": "signed_out", "message": _("Sign in again; what waits on this phone is kept.")}
            return JsonResponse(body, status=401, headers=_JSON)
        if not access.may("pairing.create"):
            body = {"code": "forbidden", "message": _("Your role does not allow pairing here.")}
            return JsonResponse(body, status=403, headers=_JSON)
        return view(request, access)

    guarded.action = "pairing.create"  # type: ignore[attr-defined]
    return guarded


@_answers
def session(request: HttpRequest, access: Access) -> JsonResponse:
    """Who works here, and where; asked whenever there is network."""
    return JsonResponse(session_of(request, access, get_language() or "en"), headers=_JSON)


@_answers
def site_search(request: HttpRequest, access: Access) -> JsonResponse:
    """Sites by name, for organisations with more of them than a phone carries."""
    return JsonResponse({"sites": sites(access, request.GET.get("q", ""), MAX_FOUND)}, headers=_JSON)
