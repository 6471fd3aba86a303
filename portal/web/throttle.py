"""A brake on guessing passwords: failures are counted per account and per address, and forgotten after a while."""

import hashlib

from django.core.cache import cache
from django.http import HttpRequest

WINDOW_S = 300
MAX_PER_ACCOUNT = 8
MAX_PER_ADDRESS = 40


def blocked(request: HttpRequest, email: str) -> bool:
    """Whether this account, or this address, failed too often in the last WINDOW_S seconds."""
    account, address = _keys(request, email)
    return bool(cache.get(account, 0) >= MAX_PER_ACCOUNT or cache.get(address, 0) >= MAX_PER_ADDRESS)


def failed(request: HttpRequest, email: str) -> None:
    """Count one failure."""
    for key in _keys(request, email):
        cache.add(key, 0, WINDOW_S)
        try:
            cache.incr(key)
        except ValueError:  # it expired between the two calls
            cache.set(key, 1, WINDOW_S)


def succeeded(request: HttpRequest, email: str) -> None:
    """Forget the account's failures; the address keeps its own."""
    cache.delete(_keys(request, email)[0])


def _keys(request: HttpRequest, email: str) -> tuple[str, str]:
    account = hashlib.sha256(email.strip().lower().encode()).hexdigest()[:32]
    return f"login:{account}", f"login-from:{request.META.get('REMOTE_ADDR', '')}"
