"""The folder that holds everything an adapter must not forget, taken by one process at a time."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from edge.sealedfile import Credential, SealedFile, load_credential, sweep
from meterwire.errors import MeterspanError

MAX_PID: Final = 20


class StateInUse(MeterspanError):
    """Another process works with this state: two would use one counter twice. Stop the other one first."""

    code = "state_in_use"


class StateFolder:
    """Use as a context manager. Raises StateInUse, SealedFileError."""

    credential: Credential

    def __init__(self, folder: Path, credential_file: Path) -> None:
        self.folder = folder
        self._credential_file = credential_file
        self._lock = -1

    def file(self, name: str) -> SealedFile:
        """The sealed file `name`; its content belongs to that name only."""
        return SealedFile(self.folder / f"{name}.sealed", self.credential, name)

    def announce(self) -> None:
        """Tell in the lock which process this is: one that takes SIGUSR1 for the commissioning button."""
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise MeterspanError(f"{self.folder} cannot be used ({error.strerror}); correct state_dir") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise StateInUse(f"{self.folder} is in use by another adapter-agent; stop it first") from None
        os.ftruncate(self._lock, 0)
        try:
            sweep(self.folder)
            self.credential = load_credential(self._credential_file)
        except MeterspanError:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)


def announced(folder: Path) -> int | None:
    """The process that works with this state and has announced itself; None when there is none.

    Raises MeterspanError when the lock cannot be looked at.
    """
    try:
        with (folder / "lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = lock.read(MAX_PID)
                return int(text) if text.strip().isdigit() else None
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MeterspanError(f"{folder}: {error.strerror}; run this as the adapter's own user") from None
