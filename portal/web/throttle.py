"""A brake on guessing: failures are counted per account and per address, and forgotten after a while."""

import hashlib

from django.core.cache import cache
from django.http import HttpRequest
from django.utils.translation import gettext as _

from meterwire.errors import AuthenticationError

WINDOW_S = 300
MAX_PER_ACCOUNT = 8
MAX_PER_ADDRESS = 40
MAX_QUESTIONS = 60


class TooMany(AuthenticationError):
    """Too many failures; only time helps."""

    code = "too_many"
    temporary = True


def blocked(request: HttpRequest, email: str) -> bool:
    """Whether this account, or this address, failed too often in the last WINDOW_S seconds."""
    account, address = _keys(request, email)
    return bool(cache.get(account, 0) >= MAX_PER_ACCOUNT or cache.get(address, 0) >= MAX_PER_ADDRESS)


def check(request: HttpRequest, account: str) -> None:
    """Raise TooMany when `blocked`."""
    if blocked(request, account):
        raise TooMany(_("Too many attempts. Wait five minutes, then try again."))


def place_of(request: HttpRequest) -> str:
    """An account to count under for what no account can be blamed for: the address it came from."""
    return f"from:{request.META.get('REMOTE_ADDR', '')}"


def hurried(request: HttpRequest) -> bool:
    """Count one challenge for a passkey; whether this address asked for more than MAX_QUESTIONS in WINDOW_S seconds."""
    key = f"question-for:{request.META.get('REMOTE_ADDR', '')}"
    return _count(key) > MAX_QUESTIONS


def failed(request: HttpRequest, email: str) -> None:
    """Count one failure."""
    for key in _keys(request, email):
        _count(key)


def succeeded(request: HttpRequest, email: str) -> None:
    """Forget the account's failures; the address keeps its own."""
    cache.delete(_keys(request, email)[0])


def _count(key: str) -> int:
    cache.add(key, 0, WINDOW_S)
    try:
        return cache.incr(key)
    except ValueError:  # it expired between the two calls
        cache.set(key, 1, WINDOW_S)
        return 1


def _keys(request: HttpRequest, email: str) -> tuple[str, str]:
    account = hashlib.sha256(email.strip().lower().encode()).hexdigest()[:32]
    return f"login:{account}", f"login-from:{request.META.get('REMOTE_ADDR', '')}"
