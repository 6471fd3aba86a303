"""PostgreSQL's own dump and restore, with the password in the environment and never on a command line."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from django.db import connection, transaction

from portal.ops.backup.archive import chunks_of
from portal.ops.backup.errors import BackupError, RestoreFailed

MEMBER: Final = "database.dump"
_VARIABLES = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD", "NAME": "PGDATABASE"}
_OPTIONS = {
    "service": "PGSERVICE",
    "passfile": "PGPASSFILE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}


@contextmanager
def snapshot() -> Iterator[str]:
    """A transaction that sees one moment; pg_dump sees the same one by the name that comes out."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        yield str(cursor.fetchone()[0])


def dump(name: str) -> Iterator[bytes]:
    """The database at that snapshot in pg_dump's custom format (compressed). BackupError when pg_dump fails."""
    command = [_program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={name}"]
    with subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        yield from chunks_of(run.stdout.read)
        said = run.stderr.read()
        if run.wait() != 0:
            raise BackupError(f"pg_dump failed: {_last(said)}")


def load(chunks: Iterable[bytes]) -> None:
    """Put the dump in the place of everything that is in it, in one transaction. RestoreFailed: nothing has changed."""
    connection.close()
    command = [_program("pg_restore"), "--clean", "--if-exists", "--no-owner", "--no-privileges"]
    command += ["--single-transaction", "--exit-on-error", f"--dbname={connection.settings_dict['NAME']}"]
    # A bridge that was forgotten holds locks: say so instead of waiting for ever.
    environment = {**_environment(), "PGOPTIONS": "-c lock_timeout=20s"}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdin is not None
        assert run.stderr is not None
        try:
            for chunk in chunks:
                run.stdin.write(chunk)
            run.stdin.close()
        except BrokenPipeError:
            pass  # it says why below
        said = run.stderr.read()
        if run.wait() != 0:
            raise RestoreFailed(
                f"pg_restore failed, and the database is as it was before: {_last(said)}"
                " End everything that uses the database, then try again."
            )


def _program(name: str) -> str:
    """The newest one of the machine: an older pg_dump refuses a newer server."""
    installed = {path.parts[-3]: str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")}
    numbered = [version for version in installed if version.isdecimal()]
    found = installed[max(numbered, key=int)] if numbered else shutil.which(name)
    if found is None:
        raise BackupError(f"{name} is missing; install postgresql-client, of the server's version or newer.")
    return found


def _environment() -> dict[str, str]:
    settings: dict[str, Any] = connection.settings_dict
    named = {variable: str(settings[name]) for name, variable in _VARIABLES.items() if settings.get(name)}
    options = settings.get("OPTIONS", {})
    return {**os.environ, **named, **{_OPTIONS[name]: str(options[name]) for name in _OPTIONS if name in options}}


def _last(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].rstrip(".") + "." if lines else "it did not say why."
