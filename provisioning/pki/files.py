"""What listeners need as files: trusted authorities, lists of revoked certificates, whom the EST listener lets in."""

from pathlib import Path
from typing import Final

from provisioning.pki.queries import broker_trust, manufacturers_pem

AUTHORITIES, LISTS, EST_CLIENTS = "ca.pem", "crl.pem", "est-clients.pem"
MODE: Final = 0o644


def write_trust(folder: Path) -> None:
    """Write all three, each in one step. `est-clients.pem` holds the manufacturers' authorities too."""
    authorities, lists = broker_trust()
    _write(folder / AUTHORITIES, authorities)
    _write(folder / LISTS, lists)
    _write(folder / EST_CLIENTS, authorities + manufacturers_pem())


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.chmod(MODE)
    fresh.replace(path)
