"""System checks: whether API tokens have peppers of their own."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from provisioning.accounts import tokens


def token_peppers(**_: Any) -> list[CheckMessage]:
    """accounts.E001: TOKEN_PEPPERS_FILE cannot be used."""
    try:
        tokens.peppers()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="accounts.E001")]
    return []


def token_peppers_of_their_own(**_: Any) -> list[CheckMessage]:
    """accounts.W001 (deploy): the pepper hangs on the secret key, so changing that one ends all tokens."""
    if settings.TOKEN_PEPPERS_FILE:
        return []
    hint = 'Set MSPAN_TOKEN_PEPPERS_FILE to a JSON file such as {"1": "<64 hex digits>"}.'
    return [Warning("The pepper of API tokens is derived from the secret key.", hint=hint, id="accounts.W001")]
