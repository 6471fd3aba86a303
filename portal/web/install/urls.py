"""The addresses of the installer's app; the service worker's scope is their folder."""

from django.urls import path

from portal.web.install import views

urlpatterns = [
    path("install/", views.install, name="install"),
    path("install/sw.js", views.worker, name="install-worker"),
    path("install/manifest.webmanifest", views.manifest, name="install-manifest"),
    path("install/session/", views.session, name="install-session"),
    path("install/sites/", views.site_search, name="install-sites"),
]
