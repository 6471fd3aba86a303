"""`manage.py run_est` as a process, and what it refuses to start with."""

import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.support.processes import answers, free_port


@pytest.mark.timeout(60)
def test_it_serves_until_it_is_told_to_end(transactional_db: None, tmp_path: Path) -> None:
    call_command("pki_init", "--server-name", "localhost", "--out", tmp_path, stdout=StringIO())
    database, port = connection.settings_dict, free_port()
    url = f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    if connection.vendor == "sqlite":
        pytest.skip("another process cannot read a database in memory")
    command = [sys.executable, "manage.py", "run_est", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--certificate", str(tmp_path / "server.pem"), "--key", str(tmp_path / "server.key")]
    process = subprocess.Popen(command, env={**os.environ, "MSPAN_DATABASE_URL": url}, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert b"/.well-known/est/" in process.stdout.readline()
        while not answers(port):
            assert process.poll() is None
        curl = ["curl", "-sS", "--cacert", tmp_path / "ca.pem", f"https://localhost:{port}/.well-known/est/csrattrs"]
        told = subprocess.run([str(part) for part in curl], capture_output=True, check=True).stdout
        assert told == b"MCEwFQYHKoZIzj0CATEKBggqhkjOPQMBBwYIKoZIzj0EAwI=\n"
    finally:
        process.send_signal(signal.SIGTERM)

    assert process.wait(15) in (0, -signal.SIGTERM)


def test_it_believes_no_header(settings: Any, tmp_path: Path) -> None:
    settings.EST_CERTIFICATE_HEADER = "X-SSL-Client-Cert"

    with pytest.raises(CommandError, match="ends TLS by itself"):
        call_command("run_est", "--certificate", tmp_path / "none", "--key", tmp_path / "none")


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be used"):
        call_command("run_est", "--certificate", tmp_path / "none", "--key", tmp_path / "none")
