"""Uploads stay in memory and within a bound: what is larger is refused before it is read, nothing is put on a disk."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest

from provisioning.batches.limits import MAX_BYTES, too_large

ENVELOPE: Final = 256 * 1024  # the other fields of the form, and the seams of multipart
LARGEST: Final = MAX_BYTES + ENVELOPE
USUAL: Final = 6 * 2**20
LARGE_AT: Final = ("/batches/new/", "/batches/columns/")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[..., Awaitable[None]]


def keep_in_memory(request: HttpRequest) -> None:
    """Before the form is read: its file goes nowhere but into memory."""
    request.upload_handlers = [_InMemory(request)]


def is_too_large(request: HttpRequest) -> bool:
    """Whether the body announces more than can be read."""
    return int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST


class _InMemory(MemoryFileUploadHandler):
    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        self.activated = True


def bounded(app: App) -> App:
    """An ASGI application that answers 413 to bodies larger than their address takes, announced or not."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        limit = LARGEST if str(scope["path"]).endswith(LARGE_AT) else USUAL
        announced = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"0")
        if int(announced) > limit if announced.isdigit() else True:
            return await _refuse(send, int(announced) if announced.isdigit() else 0, limit)
        read = 0

        async def receive_bounded() -> MutableMapping[str, Any]:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                await _refuse(send, read, limit)
                return {"type": "http.disconnect"}
            return message

        return await app(scope, receive_bounded, send)

    return guarded


async def _refuse(send: Send, size: int, limit: int) -> None:
    text = too_large(size) if limit == LARGEST else f"The request is larger than {limit // 2**20} MB."
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode() + b"\n"})
