"""Programs authenticate by token: `Authorization: Bearer mspan_...`."""

from django.contrib.auth.base_user import AbstractBaseUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from provisioning.accounts.models import ApiToken
from provisioning.accounts.services import InvalidToken, authenticate_token

SCHEME = "Bearer"


class TokenAuthentication(BaseAuthentication):
    """Makes the token `request.auth` and its owner `request.user`."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, ApiToken] | None:
        """None when the request carries no bearer token, so that the session may speak for it."""
        scheme, _, text = get_authorization_header(request).partition(b" ")
        if scheme.lower() != SCHEME.lower().encode():
            return None
        try:
            token = authenticate_token(text.decode("ascii", "replace").strip())
        except InvalidToken as error:
            raise AuthenticationFailed(str(error), code=error.code) from None
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return SCHEME


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema shows it."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token made in the portal's settings."}
