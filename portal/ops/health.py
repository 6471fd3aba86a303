"""Whether this installation works: what each part answers when asked."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone
from redis.exceptions import RedisError

from portal.bridge.models import Bridge
from provisioning.pki.services.lists import stale

TIMEOUT_S = 1.0
ALIVE = timedelta(seconds=30)


def database() -> str:
    """Empty when it answers, else why not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"does not answer ({type(error).__name__})"
    return ""


def live_events() -> str:
    """Redis or Valkey: live pages and scheduled work."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    try:
        client.ping()
    except (RedisError, OSError) as error:
        return f"does not answer ({type(error).__name__})"
    finally:
        client.close()
    return ""


def bridge() -> str:
    """At least one bridge lives and is connected to the broker."""
    try:
        alive = list(Bridge.objects.filter(at__gte=timezone.now() - ALIVE).values_list("connected", flat=True))
    except DatabaseError as error:
        return f"unknown ({type(error).__name__})"
    if not alive:
        return f"no sign of life for {ALIVE.seconds} s"
    return "" if any(alive) else "not connected to the broker"


def certificates() -> str:
    """No list of revoked certificates nears its end: when it is over, the broker refuses every concentrator."""
    try:
        return stale(timezone.now())
    except DatabaseError as error:
        return f"unknown ({type(error).__name__})"


CHECKS: Mapping[str, Callable[[], str]] = {
    "database": database,
    "redis": live_events,
    "bridge": bridge,
    "certificates": certificates,
}
