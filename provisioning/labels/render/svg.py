"""SVG: a label to scan from a screen, or to place into other artwork. No style attribute, so any policy shows it."""

from xml.sax.saxutils import escape

from django.utils.safestring import SafeString

from provisioning.labels.render.qr import QUIET, matrix, runs
from provisioning.labels.render.text import lines
from provisioning.labels.services import PrintLabel

WIDTH, HEIGHT = 50.0, 30.0  # mm
CODE = 26.0
MARGIN = 2.0


def qr_svg(text: str, name: str = "QR code") -> SafeString:
    """A QR code alone, one unit per module, black on white in both themes."""
    modules = matrix(text)
    size = len(modules) + 2 * QUIET
    return SafeString(  # numbers and an escaped name only
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" role="img"'
        f' aria-label="{_attribute(name)}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{size}v{size}H0z"/>'
        f'<path fill="#000" d="{_path(modules, QUIET)}"/></svg>'
    )


def label_svg(label: PrintLabel) -> str:
    """The whole label, 50 mm x 30 mm."""
    modules = matrix(label.text)
    scale = CODE / (len(modules) + 2 * QUIET)
    texts = "".join(
        f'<text x="{MARGIN + CODE + 1:g}" y="{8 + 5 * number}" font-family="sans-serif" font-size="{size}"'
        f' font-weight="{weight}">{escape(line)}</text>'
        for number, (line, size, weight) in enumerate(_sized(lines(label)))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:g}mm" height="{HEIGHT:g}mm"'
        f' viewBox="0 0 {WIDTH:g} {HEIGHT:g}"><path fill="#fff" d="M0 0h{WIDTH:g}v{HEIGHT:g}H0z"/>'
        f'<path fill="#000" transform="translate({MARGIN:g} {MARGIN:g}) scale({scale:.6f})"'
        f' d="{_path(modules, QUIET)}"/>{texts}</svg>\n'
    )


def _path(modules: list[list[bool]], offset: int) -> str:
    return "".join(f"M{x + offset} {y + offset}h{length}v1h-{length}z" for x, y, length in runs(modules))


def _sized(texts: list[str]) -> list[tuple[str, float, int]]:
    """Name, serial, and the DevEUI on two lines."""
    head, eui = texts[:-1], texts[-1]
    half = eui.rindex(" ", 0, len(eui) // 2 + 1)
    return [(text, 3.2, 600) for text in head] + [(eui[:half], 2.8, 400), (eui[half + 1 :], 2.8, 400)]


def _attribute(text: str) -> str:
    return escape(text, {'"': "&quot;"})
