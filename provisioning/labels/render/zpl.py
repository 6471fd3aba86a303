"""ZPL II for thermal printers: 50 mm x 30 mm at 8 dots per mm (203 dpi)."""

from provisioning.labels.render.qr import QUIET, matrix
from provisioning.labels.render.text import lines
from provisioning.labels.services import PrintLabel

DOTS_PER_MM = 8
WIDTH, HEIGHT = 400, 240
MAX_MAGNIFICATION = 10


def label_zpl(label: PrintLabel) -> str:
    """One label; every text is hexadecimally escaped (^FH), so that none can end its field or begin a command."""
    modules = len(matrix(label.text)) + 2 * QUIET
    size = max(1, min(MAX_MAGNIFICATION, (HEIGHT - 16) // modules))
    texts = lines(label)
    shown = [*texts[:-1], texts[-1][:9].rstrip(), texts[-1][10:]]
    body = [f"^FO{QUIET * size},{QUIET * size}^BQN,2,{size}^FH_^FDMA,{_escaped(label.text)}^FS"]
    body += [
        f"^FO{modules * size + 4},{24 + 40 * number}^A0N,26,22^FH_^FD{_escaped(text)}^FS"
        for number, text in enumerate(shown)
    ]
    return f"^XA^CI28^PW{WIDTH}^LL{HEIGHT}" + "".join(body) + "^XZ\n"


def _escaped(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in " :-") else _hex(c) for c in text)


def _hex(character: str) -> str:
    return "".join(f"_{octet:02X}" for octet in character.encode())
