"""Key pairs and certificates at rest: one sealed file, replaced as a whole, so no power cut leaves half a change."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from edge.sealedfile import Credential, SealedFile, SealedFileUnreadable

RENEW_FROM: Final = 2 / 3  # of a certificate's life
RENEW_SPREAD: Final = 1 / 20  # so much later at most, so that a fleet does not renew in step
NEARLY_OVER: Final = 1 / 6  # of its life is left: renewing has failed for long


class Held(msgspec.Struct, frozen=True):
    """A private key (PKCS #8), the request made with it (PKCS #10) and, once issued, the certificate; all DER.

    The request is kept because the same one is sent again until it is answered (RFC 7030, 4.2.3).
    """

    key: bytes
    request: bytes
    chain: tuple[bytes, ...] = ()  # its own certificate first
    not_before: float = 0.0  # Unix seconds
    not_after: float = 0.0

    @property
    def issued(self) -> bool:
        return bool(self.chain)

    @property
    def life_s(self) -> float:
        return self.not_after - self.not_before

    @property
    def renew_at(self) -> float:
        """When to ask for the next one: always the same moment for one certificate, another one for each."""
        share = int.from_bytes(sha256(self.chain[0]).digest()[:4]) / 2**32
        return self.not_before + self.life_s * (RENEW_FROM + RENEW_SPREAD * share)

    @property
    def alarm_at(self) -> float:
        return self.not_after - self.life_s * NEARLY_OVER

    def __repr__(self) -> str:
        return f"Held(until {self.not_after:.0f})" if self.issued else "Held(not issued)"


class Wallet(msgspec.Struct, frozen=True):
    """`next` waits for its certificate, then for the broker to take it; `previous` opens what was wrapped before."""

    current: Held | None = None
    next: Held | None = None
    previous: Held | None = None
    authorities: tuple[bytes, ...] = ()  # DER, as the portal gave them (cacerts)
    spent_password: bytes = b""  # SHA-256 of the one that has served, or was refused: each wrong try counts

    @property
    def all(self) -> tuple[Held, ...]:
        """Whose keys may have been used to wrap something for us, the likeliest first."""
        return tuple(one for one in (self.next, self.current, self.previous) if one is not None and one.issued)

    def issued(self, chain: tuple[bytes, ...], not_before: float, not_after: float) -> "Wallet":
        """`next` got its certificate; with none in force it is the one at once."""
        assert self.next is not None
        held = msgspec.structs.replace(self.next, chain=chain, not_before=not_before, not_after=not_after)
        if self.current is None:
            return msgspec.structs.replace(self, current=held, next=None)
        return msgspec.structs.replace(self, next=held)

    def promoted(self) -> "Wallet":
        """The broker took `next`."""
        if self.next is None or not self.next.issued:
            return self
        return msgspec.structs.replace(self, current=self.next, next=None, previous=self.current)


class WalletFile:
    """`certificates` in the state directory; processes take turns at changing it."""

    def __init__(self, state_dir: Path, credential: Credential) -> None:
        self._file = SealedFile(state_dir / "certificates", credential, "certificates")
        self._lock = state_dir / "certificates.lock"

    def read(self) -> Wallet:
        """Empty when there is none yet. Raises SealedFileError."""
        body = self._file.read()
        if body is None:
            return Wallet()
        try:
            return msgspec.msgpack.decode(body, type=Wallet)
        except msgspec.DecodeError:
            raise SealedFileUnreadable(f"{self._file.path} was written by another version; enrol again") from None

    def change(self, change: Callable[[Wallet], Wallet]) -> Wallet:
        """Read, change and write in one turn; what came out."""
        with self._turn():
            before = self.read()
            after = change(before)
            if after != before:
                self._file.write(msgspec.msgpack.encode(after))
            return after

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
