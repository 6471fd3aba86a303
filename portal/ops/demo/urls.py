"""The address of the demo's cellar."""

from django.urls import path

from portal.ops.demo import page

urlpatterns = [
    path("demo/", page.demo, name="demo"),
    path("demo/plug/<slug:name>/", page.demo_plug, name="demo-plug"),
]
