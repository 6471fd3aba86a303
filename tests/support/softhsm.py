"""A PKCS#11 token in software (SoftHSM2) in a folder of its own."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ServiceMissing

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
PIN = "48151623"


@dataclass(frozen=True)
class SoftToken:
    """`settings` is what the setting PKCS11 holds for it."""

    folder: Path
    label: str

    @property
    def settings(self) -> dict[str, str]:
        return {
            "module": module(),
            "token": self.label,
            "label": "mspan-kek",
            "pin_file": str(self.folder / "pin"),
            "intake_file": str(self.folder / "intake"),
        }

    @property
    def environment(self) -> dict[str, str]:
        """The MSPAN_* variables of a process that uses it."""
        named = {f"MSPAN_PKCS11_{name.upper()}": value for name, value in self.settings.items()}
        return {"MSPAN_KEK_PROVIDER": "pkcs11", "SOFTHSM2_CONF": str(self.folder / "softhsm2.conf"), **named}

    def pull_out(self) -> None:
        """The hardware is gone."""
        (self.folder / "tokens").rename(self.folder / "pulled")

    def plug_in(self) -> None:
        (self.folder / "pulled").rename(self.folder / "tokens")


def soft_token(folder: Path, label: str) -> SoftToken:
    """A new token; point this process at it with its `environment`'s SOFTHSM2_CONF."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    pin = folder / "pin"
    pin.touch(mode=0o600)
    pin.write_text(PIN + "\n")
    add_token(config, label)
    return SoftToken(folder, label)


def add_token(config: Path, label: str) -> None:
    """One more token behind the same module."""
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", PIN]
    try:
        subprocess.run(command, env={**os.environ, "SOFTHSM2_CONF": str(config)}, check=True, capture_output=True)
    except FileNotFoundError:
        raise ServiceMissing("SoftHSM2 is missing: apt-get install softhsm2") from None


def module() -> str:
    """Where the package installs its PKCS#11 library."""
    for path in MODULES:
        if Path(path).exists():
            return path
    raise ServiceMissing("SoftHSM2 is missing: apt-get install softhsm2")
