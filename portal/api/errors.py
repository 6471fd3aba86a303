"""Every error as `{"code", "message"}`, one sentence for a person, and the `field` where it is about one."""

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from meterwire.errors import AuthenticationError, MeterspanError
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.keys.kek import VaultLocked
from provisioning.keys.vault_client import VaultAway

_STATUS = {Forbidden: 403, Invalid: 400, Conflict: 409, VaultLocked: 503, VaultAway: 503, AuthenticationError: 401}


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST_FRAMEWORK's EXCEPTION_HANDLER. None for what is a fault of ours."""
    if isinstance(error, MeterspanError):
        set_rollback()
        body = {"code": error.code, "message": str(error)}
        if isinstance(error, Invalid):
            body["field"] = error.field
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 400)
        return Response(body, status)
    if isinstance(error, Http404):
        error = exceptions.NotFound(_("There is nothing here, or not for you."))
    elif isinstance(error, RequestDataTooBig):
        return Response({"code": "too_large", "message": _("The request is too large; send less at once.")}, 413)
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    response = exception_handler(error, context)
    if response is not None and isinstance(error, exceptions.APIException):
        response.data = _body(error)
    return response


@csrf_exempt
def not_found(request: HttpRequest) -> JsonResponse:
    """For addresses under the API that do not exist."""
    return JsonResponse({"code": "not_found", "message": _("There is no such address in the API.")}, status=404)


def _body(error: exceptions.APIException) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        field, message = _first(error.detail)
        body: dict[str, Any] = {"code": "invalid", "message": message}
        return {**body, "field": field} if field else body
    return {"code": str(error.get_codes()), "message": str(error.detail)}


def _first(detail: Any, field: str = "") -> tuple[str, str]:
    """The first complaint of a serializer, with the path of its field."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            own = "" if name == "non_field_errors" else str(name)
            return _first(inner, ".".join(part for part in (field, own) if part))
    if isinstance(detail, list):
        for inner in detail:
            if inner:
                return _first(inner, field)
    return field, str(detail)
