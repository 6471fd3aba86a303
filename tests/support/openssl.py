"""The foreign side: requests made, certificates and lists judged by the openssl program."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


def openssl(*arguments: object, given: bytes = b"") -> bytes:
    """What it writes; AssertionError with its complaint when it fails."""
    outcome = subprocess.run(["openssl", *map(str, arguments)], input=given, capture_output=True, check=False)
    assert outcome.returncode == 0, outcome.stderr.decode()
    return outcome.stdout


@dataclass(frozen=True)
class Device:
    """A folder with a key and a request, made by openssl."""

    folder: Path
    eui: str

    @property
    def key(self) -> Path:
        return self.folder / "device.key"

    @property
    def certificate(self) -> Path:
        return self.folder / "device.pem"

    def request(
        self,
        *,
        curve: str = "prime256v1",
        subject: str = "",
        digest: str = "sha256",
        names: str = "",
        kind: str = "EC",
        extra: Sequence[str] = (),
    ) -> bytes:
        """A new key and a request for it (DER)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        option = f"ec_paramgen_curve:{curve}" if kind == "EC" else "rsa_keygen_bits:2048"
        openssl("genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", self.key)
        return self.again(subject=subject, digest=digest, names=names, extra=extra)

    def again(self, *, subject: str = "", digest: str = "sha256", names: str = "", extra: Sequence[str] = ()) -> bytes:
        """A request for the key that is there."""
        arguments = ["req", "-new", "-key", self.key, "-subj", subject or f"/CN={self.eui}", f"-{digest}"]
        if names:
            arguments += ["-addext", f"subjectAltName={names}"]
        for one in extra:
            arguments += ["-addext", one]
        return openssl(*arguments, "-outform", "DER")
