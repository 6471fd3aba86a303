"""Measures the bridge's way from MQTT message bodies to committed readings, on a private PostgreSQL with fsync on.

`readings_per_cpu_s` counts the CPU of this process, which does all that the bridge does between the MQTT link and
the commit, receipts included: decode, open under each adapter's key, counters, duplicates, pairing, last seen.
Beside it, into the same table with the same indexes: raw COPY of finished rows, and the ORM's bulk_create.
"""

import argparse
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from tests.support.processes import Service, postgres

ADAPTERS = 5_000
ROUNDS = 40
TELEGRAMS_PER_MESSAGE = 60
TELEGRAMS_PER_BATCH = 4_000
REGISTERS = 2
PERIOD_S = 5  # close together, so that all of it is as fresh as in the field
BULK_ROWS = 40_000
COPY_ROWS = 400_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    arguments = parser.parse_args()
    with _portal() as server:
        figures = _measure(server, arguments.profile)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:32}{value:>14,.2f}")
    return 0


@contextmanager
def _portal() -> Iterator[Service]:
    """A migrated portal on its own database; ends with the block."""
    server = postgres({"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"})
    folder = Path(tempfile.mkdtemp(prefix="mspan-bench-"))
    kek = folder / "kek"
    kek.touch(mode=0o600)
    kek.write_bytes(secrets.token_bytes(32))
    os.environ.update(
        DJANGO_SETTINGS_MODULE="portal.settings",
        MSPAN_SECRET_KEY=secrets.token_hex(32),
        MSPAN_DATABASE_URL=f"postgres://mspan@127.0.0.1:{server.port}/mspan",
        MSPAN_KEK_FILE=str(kek),
        MSPAN_ALLOW_FILE_KEK="1",
    )
    import django
    from django.core.management import call_command

    try:
        django.setup()
        call_command("migrate", verbosity=0)
        yield server
    finally:
        from django.db import connections

        connections.close_all()
        server.stop()


def _measure(server: Service, profile: bool) -> dict[str, float]:
    from portal.bridge.app import spare_the_collector
    from portal.telemetry.models import Reading

    messages = _messages()
    run = _bridge()
    run(messages[: len(messages) // ROUNDS])  # adapters loaded, pages warm
    rest = messages[len(messages) // ROUNDS :]
    spare_the_collector()
    if profile:
        import cProfile
        import pstats

        profiler = cProfile.Profile()
        profiler.runcall(run, rest)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    before = Reading.objects.count()
    cpu, database = _cpu_of(server, lambda: run(rest)) if not profile else (1.0, 1.0)
    rows = Reading.objects.count() - before
    copy_cpu, _ = _cpu_of(server, _copy)
    bulk_cpu, _ = _cpu_of(server, _bulk_create)
    return {
        "readings_per_cpu_s": round(rows / cpu),
        "copy_rows_per_cpu_s": round(COPY_ROWS / copy_cpu),
        "bulk_create_rows_per_cpu_s": round(BULK_ROWS / bulk_cpu),
        "database_cpu_s_per_million": round(database / rows * 1e6, 2) if rows else 0.0,
        "readings": rows,
    }


def _messages() -> list[tuple[str, bytes]]:
    """(topic, body) in the order of sending: every adapter once per round."""
    from meterwire import messages as wire
    from meterwire import topics
    from meterwire.ids import DevEUI
    from meterwire.seal import InnerKey, ValuesSealer
    from meterwire.values_telegram import Value
    from tests.portal.stage import Stage

    stage = Stage()
    devices = _register(stage, InnerKey)
    sealers = [ValuesSealer(key, 1, DevEUI.parse(adapter.dev_eui)) for adapter, key in devices]
    gateways = (
        wire.Rx(gw="70b3d57ed0000f01", rssi=-97.0, snr=7.5),
        wire.Rx(gw="70b3d57ed0000f02", rssi=-110.0, snr=-3.0),
    )
    result = []
    start = time.time() - ROUNDS * PERIOD_S
    for number in range(ROUNDS):
        telegrams = []
        for place, (adapter, _) in enumerate(devices):
            at = start + number * PERIOD_S + place * PERIOD_S / ADAPTERS
            values = [Value(1, 50_000_000 + place + number * 80), Value(2, 3_000_000 + number * 10)]
            telegrams.append(
                wire.Telegram(
                    id=wire.ulid(at, secrets.token_bytes(10)), dev_eui=adapter.dev_eui, fport=16, fcnt=number, epoch=1,
                    payload=sealers[place].seal(number, values), counter=number, rx=gateways, dr=5, freq=868_100_000,
                    received_at=wire.timestamp(at), time_quality="ntp",
                )
            )  # fmt: skip
        for first in range(0, ADAPTERS, TELEGRAMS_PER_MESSAGE):
            some = tuple(telegrams[first : first + TELEGRAMS_PER_MESSAGE])
            batch = wire.TelegramBatch(
                id=wire.ulid(start, secrets.token_bytes(10)), time=wire.timestamp(start), telegrams=some
            )
            result.append((topics.topic(stage.concentrator.eui, topics.UP_TELEGRAM), wire.encode(batch)))
    return result


def _register(stage: Any, inner_key: Any) -> list[tuple[Any, Any]]:
    """Adapters with a key each, paired with a metering point each."""
    from provisioning.fleet.models import Adapter, MeteringPoint
    from provisioning.keys.models import DeviceKey, KeyState, Purpose
    from provisioning.pairing.models import Pairing

    adapters = Adapter.objects.bulk_create(
        Adapter(
            organisation=stage.organisation, site=stage.site, concentrator=stage.concentrator,
            dev_eui=f"70b3d57ed2{number:06x}", join_eui="70b3d57ed0000000",
        )
        for number in range(ADAPTERS)
    )  # fmt: skip
    points = MeteringPoint.objects.bulk_create(
        MeteringPoint(organisation=stage.organisation, site=stage.site, name=f"Flat {number}")
        for number in range(ADAPTERS)
    )
    Pairing.objects.bulk_create(
        Pairing(
            organisation=stage.organisation,
            adapter=adapter,
            metering_point=point,
            from_at=datetime(2020, 1, 1, tzinfo=UTC),
        )
        for adapter, point in zip(adapters, points, strict=True)
    )
    keys = [inner_key(secrets.token_bytes(16)) for _ in adapters]
    rows = []
    for adapter, key in zip(adapters, keys, strict=True):
        row = DeviceKey(
            organisation=stage.organisation, adapter=adapter, purpose=Purpose.INNER, slot=1, state=KeyState.ACTIVE,
            check_value=key.check_value().hex(),
        )  # fmt: skip
        row.sealed = stage.vault.seal(row, key)
        rows.append(row)
    DeviceKey.objects.bulk_create(rows)
    return list(zip(adapters, keys, strict=True))


def _bridge() -> Callable[[list[tuple[str, bytes]]], None]:
    """What the bridge does with messages, without the sockets: read, commit, write receipts and news."""
    from meterwire import messages as wire
    from portal.bridge.ingest import Ingest
    from portal.bridge.mail import Mail, read
    from portal.telemetry.directory import Directory
    from portal.telemetry.pipeline import Pipeline
    from portal.telemetry.store import open_store
    from provisioning.keys.vault import Vault

    ingest = Ingest(Pipeline(Directory(Vault.from_settings()), open_store()))

    def commit(mails: list[Mail]) -> None:
        outcome = ingest.run(mails, time.time_ns() // 1000)
        for results in outcome.receipts.values():
            for first in range(0, len(results), wire.MAX_RESULTS):
                some = tuple(results[first : first + wire.MAX_RESULTS])
                wire.encode(wire.Receipt(wire.ulid(0, bytes(10)), wire.timestamp(0), some))
        outcome.changes.messages()

    def run(messages: list[tuple[str, bytes]]) -> None:
        waiting: list[Mail] = []
        weight = 0
        for topic, body in messages:
            waiting.append(read(topic, body))
            weight += waiting[-1].weight
            if weight >= TELEGRAMS_PER_BATCH:
                commit(waiting)
                waiting, weight = [], 0
        if waiting:
            commit(waiting)

    return run


def _copy() -> None:
    """Finished rows of adapters nobody else uses, in the batches of the bridge."""
    from django.db import connection

    at = datetime(2026, 1, 1, tzinfo=UTC)
    batch = TELEGRAMS_PER_BATCH * REGISTERS
    for first in range(0, COPY_ROWS, batch):
        with (
            connection.cursor() as cursor,
            cursor.copy(
                "COPY telemetry_reading (adapter_id, counter, measured_at, register, value, metering_point_id)"
                " FROM STDIN (FORMAT BINARY)"
            ) as copy,
        ):
            copy.set_types(["int8", "int8", "timestamptz", "int2", "int8", "int8"])
            for number in range(first, first + batch):
                copy.write_row((10_000_000 + number % ADAPTERS, number, at, 1, 50_000_000, 1))


def _bulk_create() -> None:
    from portal.telemetry.models import Reading

    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=1)
    for first in range(0, BULK_ROWS, 2_000):
        Reading.objects.bulk_create(
            Reading(
                adapter_id=20_000_000 + number % ADAPTERS, counter=number, measured_at=at, register=1, value=50_000_000,
                metering_point_id=1,
            )
            for number in range(first, first + 2_000)
        )  # fmt: skip


def _cpu_of(server: Service, work: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds of this process and of the database server while `work` runs."""
    database, own = _server_cpu(server), time.process_time()
    work()
    return time.process_time() - own, _server_cpu(server) - database


def _server_cpu(server: Service) -> float:
    assert server.process is not None
    parent = psutil.Process(server.process.pid)
    total = 0.0
    for process in (parent, *parent.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


if __name__ == "__main__":
    sys.exit(main())
