"""The files that the app needs without network, and the version that names their content."""

import hashlib
from functools import cache
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.utils import translation

from portal.web.install.words import install_words
from portal.web.words import words

SHELL = "/install/"
_SHARED = ("css/tokens.css", "css/base.css", "css/parts.css", "js/words.js", "js/format.js", "icons.svg")
_DECODER = ("vendor/scan/barcode-detector.js", "vendor/scan/zxing_reader.wasm")
_KINDS = {".js", ".css", ".svg", ".png"}
_NOT_NEEDED = {"logout.js", "icon-512.png", "icon-maskable.png"}
_TEMPLATES = ("install/shell.html", "install/worker.js")


@cache
def files() -> tuple[str, ...]:
    """Names, below the static folder, of everything but the decoder."""
    root = Path(str(finders.find("install/app.js"))).parent
    own = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix in _KINDS)
    return (*_SHARED, *(f"install/{name}" for name in own if name not in _NOT_NEEDED))


def addresses() -> list[str]:
    """What the service worker keeps beside the page itself."""
    return [static(name) for name in files()]


def decoder() -> list[str]:
    """The decoder's two files; kept apart, because a megabyte should not be fetched again with each version."""
    return [static(name) for name in _DECODER]


@cache
def version() -> str:
    """Changes with any file, template or word of the app."""
    texts = [_content(name) for name in files()]
    texts += [(settings.BASE_DIR / "templates" / name).read_bytes() for name in _TEMPLATES]
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            texts.append(repr((install_words(), words())).encode())
    return _digest(texts)


@cache
def decoder_version() -> str:
    """Changes with the decoder's files."""
    return _digest([_content(name) for name in _DECODER])


def _content(name: str) -> bytes:
    return Path(str(finders.find(name))).read_bytes()


def _digest(texts: list[bytes]) -> str:
    whole = hashlib.sha256()
    for text in texts:
        whole.update(hashlib.sha256(text).digest())
    return whole.hexdigest()[:16]
