"""Names the days app to Django."""

from django.apps import AppConfig


class DaysConfig(AppConfig):
    name = "portal.days"
    label = "days"
