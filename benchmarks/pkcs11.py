"""How long a PKCS#11 token (SoftHSM2) takes to unwrap a data key: once for each process and data key."""

import os
import secrets
import statistics
import tempfile
import time
from pathlib import Path

from provisioning.keys.providers.hardware import KekPlace, Pkcs11Kek, create
from tests.support.softhsm import soft_token

ROUNDS = 2_000


def pkcs11_unwrap() -> dict[str, float]:
    """`pkcs11_unwrap_ms`: the median of 2,000 unwrappings of a 32-byte data key, session and key lookup included."""
    with tempfile.TemporaryDirectory(prefix="mspan-bench-") as folder:
        token = soft_token(Path(folder) / "hsm", "benchmark")
        os.environ["SOFTHSM2_CONF"] = token.environment["SOFTHSM2_CONF"]
        place = KekPlace.of(token.settings)
        create(place)
        kek, context = Pkcs11Kek(place), b"benchmark"
        wrapped = kek.wrap(secrets.token_bytes(32), context)
        spent = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            kek.unwrap(wrapped, context)
            spent.append(time.perf_counter() - start)
    return {"pkcs11_unwrap_ms": statistics.median(spent) * 1000}
