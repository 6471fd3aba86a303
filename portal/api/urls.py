"""Addresses of the API and its description."""

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.routers import SimpleRouter

from portal.api.adapters import Adapters
from portal.api.concentrators import Concentrators
from portal.api.diagnosis import Events, Telegrams
from portal.api.errors import not_found
from portal.api.key_campaigns import KeyCampaigns, KeyDeliveries
from portal.api.keys import Keys
from portal.api.metering_points import MeteringPoints, Meters
from portal.api.pairings import Pairings
from portal.api.readings import Readings
from portal.api.scans import Scans
from portal.api.sites import Sites
from portal.api.slots import SlotPlans

router = SimpleRouter()
for name, resource in (
    ("sites", Sites),
    ("metering-points", MeteringPoints),
    ("meters", Meters),
    ("concentrators", Concentrators),
    ("adapters", Adapters),
    ("pairings", Pairings),
    ("scans", Scans),
    ("readings", Readings),
    ("telegrams", Telegrams),
    ("events", Events),
    ("keys", Keys),
    ("key-campaigns", KeyCampaigns),
    ("key-deliveries", KeyDeliveries),
    ("slot-plans", SlotPlans),
):
    router.register(name, resource, basename=f"api-{name}")

_described = {"permission_classes": [AllowAny]}
# In parts, because our content security policy allows no inline script or style.
_docs = SpectacularSwaggerSplitView.as_view(url_name="api-schema", template_name="api/docs.html", **_described)
urlpatterns = [
    path("v1/", include(router.urls)),
    path("schema/", SpectacularAPIView.as_view(**_described), name="api-schema"),
    path("docs/", _docs, name="api-docs"),
    re_path("", not_found),
]
