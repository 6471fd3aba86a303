"""All keys that this concentrator shares with adapters, in one sealed file: what is erased is in no file any more."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from concentrator_agent.keys import stored
from concentrator_agent.keys.held import NOTHING, DeviceKeys


class KeyFile(Protocol):
    """Where they rest: sealed, owner-only, replaced atomically (edge.sealedfile)."""

    def read(self) -> bytes | None: ...

    def write(self, content: bytes) -> None: ...


class KeyRing:
    """In memory and in the file; a change is in both, or in neither when it raises."""

    def __init__(self, file: KeyFile) -> None:
        """Raises SealedFileError for a file that does not open, FormatError for one that cannot be read."""
        self._file = file
        content = file.read()
        self._devices = {} if content is None else stored.decode(content)

    def of(self, dev_eui: str) -> DeviceKeys:
        return self._devices.get(dev_eui, NOTHING)

    def change(self, dev_eui: str, keys: DeviceKeys) -> None:
        """Raises SealedFileError."""
        self.change_all({dev_eui: keys})

    def change_all(self, changed: Mapping[str, DeviceKeys]) -> None:
        """Many at once. Raises SealedFileError."""
        devices = {dev_eui: keys for dev_eui, keys in {**self._devices, **changed}.items() if keys != NOTHING}
        self._file.write(stored.encode(devices))
        self._devices = devices

    def __iter__(self) -> Iterator[tuple[str, DeviceKeys]]:
        return iter(list(self._devices.items()))
