"""A PKCS#11 token: one session that is opened anew when it was lost, shared by all threads of the process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import pkcs11
from pkcs11 import exceptions
from pkcs11.types import Session

from provisioning.keys.providers.base import KekAway, VaultLocked

T = TypeVar("T")

# Trying again with the same PIN would only lock the token.
_WRONG_PIN = (
    exceptions.PinIncorrect,
    exceptions.PinLocked,
    exceptions.PinExpired,
    exceptions.PinInvalid,
    exceptions.PinLenRange,
    exceptions.UserPinNotInitialized,
)


@dataclass(frozen=True)
class TokenPlace:
    """Where a token is found; the PIN stays in its file."""

    module: str
    token: str
    pin_file: str


class Module:
    """The library in this process. Starting it anew ends the sessions of all its tokens and gives out their handles
    again, so a session counts only within the `generation` in which it was opened."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.lock = threading.RLock()
        self.generation = 0

    def find(self, label: str) -> pkcs11.Token:
        return pkcs11.lib(self._path).get_token(token_label=label)

    def restart(self) -> None:
        self.generation += 1
        pkcs11.lib(self._path).reinitialize()


class Token:
    """`run` gives the session out. Raises VaultLocked for what only an operator can cure, else KekAway."""

    def __init__(self, place: TokenPlace) -> None:
        self._place, self._module = place, _module_at(place.module)
        self._lock = self._module.lock
        self._session: Session | None = None
        self._generation = 0
        self._refused: VaultLocked | None = None

    @classmethod
    def at(cls, place: TokenPlace) -> "Token":
        """The one of this process: a module allows one login at a time."""
        return _token_at(place)

    def run(self, call: Callable[[Session], T]) -> T:
        """What `call` returns. It is called again in a new session when the first one turns out to be lost.

        Its own PKCS11Error is raised as it is when the new session does not cure it.
        """
        with self._lock:
            if self._session is not None and self._generation == self._module.generation:
                try:
                    return call(self._session)
                except exceptions.PKCS11Error:
                    self._drop()
            return call(self._open())

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session in which objects can be made; the one for reading comes back afterwards."""
        with self._lock:
            self._drop()
            session = self._open(rw=True)
            try:
                yield session
            finally:
                self._drop()

    def _open(self, *, rw: bool = False) -> Session:
        if self._refused is not None:
            raise self._refused
        pin = _pin(self._place.pin_file)
        try:
            self._session = self._log_in(pin, rw)
        except _WRONG_PIN as error:
            self._refused = VaultLocked(
                f"The token {self._place.token} does not take the PIN in {self._place.pin_file}"
                f" ({type(error).__name__}); correct the file, then start this process again."
            )
            raise self._refused from None
        except exceptions.MultipleTokensReturned:
            raise VaultLocked(
                f"Several tokens are labelled {self._place.token}; give the right one a label of its own."
            ) from None
        except exceptions.PKCS11Error as error:
            raise KekAway(
                f"The token {self._place.token} cannot be reached through {self._place.module}"
                f" ({type(error).__name__}); look at the hardware, its service and MSPAN_PKCS11_MODULE and _TOKEN."
            ) from None
        return self._session

    def _log_in(self, pin: str, rw: bool) -> Session:
        try:
            self._generation = self._module.generation
            return self._module.find(self._place.token).open(rw=rw, user_pin=pin)
        except (*_WRONG_PIN, exceptions.MultipleTokensReturned):
            raise
        except exceptions.PKCS11Error:
            self._module.restart()
            self._generation = self._module.generation
            return self._module.find(self._place.token).open(rw=rw, user_pin=pin)

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None and self._generation == self._module.generation:
            try:
                session.close()
            except exceptions.PKCS11Error:
                pass  # it was lost already


@cache
def _module_at(path: str) -> Module:
    return Module(path)


@cache
def _token_at(place: TokenPlace) -> Token:
    return Token(place)


def _pin(path: str) -> str:
    try:
        mode, pin = Path(path).stat().st_mode, Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise VaultLocked(
            f"The PIN file {path} cannot be read ({type(error).__name__}); see MSPAN_PKCS11_PIN_FILE."
        ) from None
    if mode & 0o077:
        raise VaultLocked(f"The PIN file {path} is open to other users; set its mode to 0600.")
    return pin
