"""The portal's addresses: pages at the root, the API under `api/`, what machines ask about health, and EST."""

from django.conf import settings
from django.urls import include, path

urlpatterns = [
    path("", include("portal.ops.urls")),
    path("", include("portal.est.urls")),
    path("api/", include("portal.api.urls")),
    path("", include("portal.web.urls")),
]
if settings.DEMO_FOLDER:
    urlpatterns.append(path("", include("portal.ops.demo.urls")))
