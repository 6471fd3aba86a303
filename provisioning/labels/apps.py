"""Names the labels app to Django."""

from django.apps import AppConfig


class LabelsConfig(AppConfig):
    name = "provisioning.labels"
    label = "labels"
