"""The import at the command line, and an import whose process is killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from provisioning.audit.queries import verify
from provisioning.batches import services as batches
from provisioning.batches.models import Batch, Supplier
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey
from tests.cast import STAGE, Cast
from tests.support.supplier_file import MAPPING, adapters, csv_file

SLOW_RUN = """
import os, time
import django
django.setup()
from provisioning.batches import services
from provisioning.batches.models import Batch
from provisioning.batches.services import importing
importing.CHUNK = 5
def told(done):
    print(done, flush=True)
    if done >= 10:
        time.sleep(600)
services.run(Batch.objects.get(pk=int(os.environ["BATCH"])), told)
"""


@pytest.fixture
def delivery(tmp_path: Path) -> Path:
    path = tmp_path / "delivery.csv"
    path.write_bytes(csv_file(adapters(4)).getvalue())
    return path


def run(cast: Cast, path: Path, **options: Any) -> str:
    out = StringIO()
    options = {"organisation": cast.organisation.slug, "supplier": "Funkwerk", **options}
    call_command("import_adapters", str(path), stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def test_a_warehouse_imports_a_file_by_command(cast: Cast, delivery: Path) -> None:
    told = run(cast, delivery, mapping=json.dumps(MAPPING))
    assert "4 rows, 0 new, 0 known, 0 bad, 4 imported" in told
    assert Adapter.objects.filter(organisation=cast.organisation, dev_eui__startswith="70b3d57ed2").count() == 4
    assert Supplier.objects.get().mapping == MAPPING


def test_the_usual_titles_are_recognised_and_a_dry_run_registers_nothing(cast: Cast, delivery: Path) -> None:
    told = json.loads(run(cast, delivery, dry_run=True, json=True))
    assert (told["state"], told["new"], told["errors"]) == ("checked", 4, [])
    assert Supplier.objects.get().mapping["root_key"] == "AppKey"
    assert not Adapter.objects.filter(dev_eui__startswith="70b3d57ed2").exists()


def test_bad_rows_are_told_with_line_and_column_and_end_with_one(cast: Cast, tmp_path: Path) -> None:
    rows = list(adapters(3))
    rows[1][2] = "secret"
    path = tmp_path / "bad.csv"
    path.write_bytes(csv_file(rows).getvalue())
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command(
            "import_adapters", str(path), organisation=cast.organisation.slug, supplier="F", stdout=out, stderr=out
        )
    assert ended.value.code == 1
    assert "line 3, AppKey: This key has other signs" in out.getvalue()
    assert "secret" not in out.getvalue()
    told = json.loads(run(cast, path, skip_bad=True, json=True))
    assert (told["state"], told["imported"]) == ("done", 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"organisation": "nobody"}, "no organisation"),
        ({"mapping": "{"}, "no JSON"),
        ({"mapping": "[]"}, "JSON object"),
        ({"mapping": '{"nose": "x"}'}, "no field"),
        ({"mapping": '{"dev_eui": "DevEuI 2", "root_key": "App Ki"}'}, "Is “AppKey” meant?"),
        ({"defaults": '{"join_eui": "7"}'}, "instead of 16"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(options: dict[str, Any], words: str, cast: Cast, delivery: Path) -> None:
    with pytest.raises(CommandError, match=words):
        run(cast, delivery, **options)


@pytest.mark.postgres
@pytest.mark.parametrize("mode", Batch.Mode.values)
def test_an_import_that_was_killed_goes_on(mode: str, transactional_cast: Cast) -> None:
    cast = transactional_cast
    supplier = batches.save_supplier(STAGE, cast.organisation, "Funkwerk", mapping=MAPPING)
    batch = batches.upload(STAGE, cast.organisation, csv_file(adapters(23)), "a.csv", supplier=supplier, mode=mode)
    batches.start(cast.operator, batch)
    place = settings.DATABASES["default"]
    name = connection.settings_dict["NAME"]
    url = f"postgres://{place['USER']}@{place['HOST']}:{place['PORT']}/{name}"
    environment = {**os.environ, "MSPAN_DATABASE_URL": url, "BATCH": str(batch.pk)}
    environment.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    worker = subprocess.Popen([sys.executable, "-c", SLOW_RUN], env=environment, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    for line in worker.stdout:
        if int(line) >= 10:
            break
    worker.send_signal(signal.SIGKILL)
    worker.wait(60)
    _until_gone(name)
    made = Adapter.objects.filter(dev_eui__startswith="70b3d57ed2")
    assert made.count() == (0 if mode == Batch.Mode.ALL_OR_NOTHING else 10)
    batch = batches.run(batch)
    assert (batch.state, batch.imported, made.count()) == ("done", 23, 23)
    assert DeviceKey.objects.filter(adapter__in=made).count() == 46
    assert verify(cast.organisation).broken is None


def _until_gone(database: str) -> None:
    """The server has noticed that the killed worker is gone, and has undone what it had begun."""
    with connection.cursor() as cursor:
        for _attempt in range(3000):
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", [database]
            )
            if cursor.fetchone()[0] == 0:
                return
            time.sleep(0.02)
    raise AssertionError("the worker's connection is still open")
