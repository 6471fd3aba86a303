"""A migrated, empty portal on a private PostgreSQL and Redis, for one benchmark."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import postgres, redis

MEMORY = Path("/dev/shm")  # the agents' many small syncs would measure the disk
OPTIONS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "full_page_writes": "off", "autovacuum": "off"}


@contextmanager
def portal() -> Iterator[Path]:
    """Django is set up on it inside the block; yields a folder of its own, with the key-encryption key in `kek`."""
    database, cache = postgres(OPTIONS), redis()
    folder = Path(tempfile.mkdtemp(prefix="mspan-bench-", dir=MEMORY if MEMORY.is_dir() else None))
    kek = folder / "kek"
    kek.touch(mode=0o600)
    kek.write_bytes(secrets.token_bytes(32))
    os.environ.update(
        MSPAN_DATABASE_URL=f"postgres://mspan@127.0.0.1:{database.port}/mspan",
        MSPAN_REDIS_URL=f"redis://127.0.0.1:{cache.port}/0",
        MSPAN_SECRET_KEY=secrets.token_urlsafe(48),
        MSPAN_KEK_FILE=str(kek),
        MSPAN_ALLOW_FILE_KEK="1",
        MSPAN_DATA_DIR=str(folder),
        MSPAN_TLS="0",
        DJANGO_SETTINGS_MODULE="portal.settings",
    )
    try:
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield folder
    finally:
        database.stop()
        cache.stop()
        shutil.rmtree(folder, ignore_errors=True)
