"""The one-time password: it serves once, and is not sent again once it has served or was refused."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from concentrator_agent.enrolment.wallet import Wallet
from edge.sealedfile import read_owner_only

MAX_BYTES: Final = 1024


def fresh(path: Path | None, wallet: Wallet) -> str:
    """The password in the file, "" when there is none or it is spent. Raises SealedFileError: others can read it."""
    if path is None:
        return ""
    try:
        password = read_owner_only(path, MAX_BYTES).decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
    return password if digest(password) != wallet.spent_password else ""


def digest(password: str) -> bytes:
    return sha256(password.encode()).digest()
