"""The schedule names tasks that exist, and a worker on a real Redis runs them."""

import pytest
from celery.contrib.testing.worker import start_worker

from portal.celery import app
from portal.telemetry.tasks import apply_retention, roll_up


def test_every_scheduled_task_is_registered_and_expires() -> None:
    app.loader.import_default_modules()
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["options"]["expires"] > 0


@pytest.mark.django_db(transaction=True)
def test_a_worker_runs_them() -> None:
    with start_worker(app, pool="solo", perform_ping_check=False, queues=["telemetry-test"]):
        for task in (roll_up, apply_retention):
            assert task.apply_async(queue="telemetry-test").get(timeout=20) is not None
