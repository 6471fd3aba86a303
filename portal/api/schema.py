"""What the schema says of errors: every operation can answer with them, in one form."""

from typing import Any

_ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string", "description": "stable, for programs"},
        "message": {"type": "string", "description": "one sentence for a person"},
        "field": {"type": "string", "description": "the argument that it is about"},
    },
}
_ALWAYS = {
    "400": "The request cannot be understood.",
    "401": "No token and no session, or one that is not valid.",
    "403": "Your role does not allow this here.",
    "404": "There is nothing here, or not for you.",
    "405": "Not with this method.",
    "406": "Only JSON is spoken here.",
}
_WRITING = {
    "409": "It contradicts what is there; look again.",
    "413": "The request is too large.",
    "415": "Only JSON is read here.",
    "503": "This process cannot put keys away.",
}


def add_errors(result: dict[str, Any], generator: Any, request: Any, public: Any) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = _ERROR
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for operations in result["paths"].values():
        for method, operation in operations.items():
            errors = _ALWAYS if method == "get" else {**_ALWAYS, **_WRITING}
            for status, description in errors.items():
                operation["responses"].setdefault(status, {"description": description, "content": answer})
    return result
