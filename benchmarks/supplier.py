"""Imports a supplier's file of adapters with their keys, and looks at the memory that it takes."""

import resource
import secrets
import time

from django.core.files.uploadedfile import SimpleUploadedFile

from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation
from provisioning.accounts.services import create_organisation
from provisioning.batches.services import run, save_supplier, start, upload
from provisioning.fleet.models import Adapter
from tests.support.supplier_file import MAPPING, adapters, csv_file

BENCH = System("benchmark")


def import_file(count: int) -> dict[str, float]:
    """Seconds from the upload to the last row, and what the peak memory (MiB) grew by from a tenth to all of it."""
    _import(create_organisation(BENCH, "Small", "small"), count // 10, 0x70B3D57EF0000000)
    before = _peak()
    began = time.perf_counter()
    _import(create_organisation(BENCH, "Large", "large"), count, 0x70B3D57EF1000000)
    return {f"import_{count // 1000}k_s": time.perf_counter() - began, "import_growth_mb": _peak() - before}


def _import(organisation: Organisation, count: int, first: int) -> None:
    supplier = save_supplier(BENCH, organisation, "Bench", mapping=MAPPING)
    content = csv_file(adapters(count, first=first, seed=secrets.randbelow(1 << 30))).getvalue()
    batch = upload(BENCH, organisation, SimpleUploadedFile("delivery.csv", content), "delivery.csv", supplier=supplier)
    start(BENCH, batch)
    run(batch)
    found = Adapter.objects.filter(organisation=organisation).count()
    if found != count:
        raise RuntimeError(f"{found} of {count} adapters were imported")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
