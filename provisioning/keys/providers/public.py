"""The public half of the intake: the file with which processes hand keys in that cannot open any."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from provisioning.keys.providers.base import KekProvider


def write_public(beside: Path, kek: KekProvider) -> Path:
    """`<beside>.pub`, readable by all. FileExistsError rather than overwriting."""
    public = beside.with_name(beside.name + ".pub")
    write_once(public, intake_public(kek).hex().encode() + b"\n", 0o644)
    return public


def intake_public(kek: KekProvider) -> bytes:
    """The 32 bytes that keys are sealed for on their way in."""
    return X25519PrivateKey.from_private_bytes(kek.intake_private()).public_key().public_bytes_raw()


def write_once(path: Path, content: bytes, mode: int) -> None:
    """A new file that is on the disk when this returns. FileExistsError rather than overwriting."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
