"""The Celery application and its schedule, which is code."""

import os

from celery import Celery
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.set_default()  # in every thread: those that answer requests are not the one that imports this
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Each expires before its successor comes, so that a worker that was away does not do the same many times.
app.conf.beat_schedule = {
    "silence": {
        "task": "portal.bridge.tasks.detect_silence",
        "schedule": 30.0,
        "options": {"expires": 25},
    },
    "roll-up": {
        "task": "portal.telemetry.tasks.roll_up",
        "schedule": crontab(minute="2,12,22,32,42,52"),
        "options": {"expires": 540},
    },
    "batches-go-on": {
        "task": "provisioning.batches.tasks.go_on",
        "schedule": 60.0,
        "options": {"expires": 55},
    },
    "batches-forget-keys": {
        "task": "provisioning.batches.tasks.forget_keys",
        "schedule": crontab(hour="3", minute="10"),
        "options": {"expires": 3600},
    },
    "revocation-lists": {
        "task": "provisioning.pki.tasks.refresh_lists",
        "schedule": 60.0,
        "options": {"expires": 55},
    },
    "keys-tick": {
        "task": "provisioning.campaigns.tasks.tick",
        "schedule": 60.0,
        "options": {"expires": 55},
    },
    "audit-chains": {
        "task": "provisioning.audit.tasks.verify_chains",
        "schedule": crontab(hour="2", minute="10"),
        "options": {"expires": 3600},
    },
    "retention": {
        "task": "portal.telemetry.tasks.apply_retention",
        "schedule": crontab(hour="2", minute="40"),
        "options": {"expires": 3600},
    },
}
