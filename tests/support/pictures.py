"""Draws what our label files say onto a bitmap, so that a foreign reader can judge it. Knows rectangles only."""

import re
import zlib

from PIL import Image, ImageDraw

MM = 72 / 25.4


def of_svg(svg: str, pixels_per_unit: float) -> Image.Image:
    """The dark paths of an SVG of ours: moves, horizontal and vertical lines, one translation and scale."""
    width, height = (float(n) for n in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())  # type: ignore[union-attr]
    picture = Image.new("L", (round(width * pixels_per_unit), round(height * pixels_per_unit)), 255)
    draw = ImageDraw.Draw(picture)
    for tag in re.findall(r'<path fill="#000"[^>]*>', svg):
        moved = re.search(r"translate\(([\d.]+) ([\d.]+)\) scale\(([\d.]+)\)", tag)
        left, top, scale = (float(n) for n in moved.groups()) if moved else (0.0, 0.0, 1.0)
        for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", tag):
            box = (left + int(x) * scale, top + int(y) * scale, int(length) * scale, scale)
            _fill(draw, box, pixels_per_unit)
    return picture


def of_pdf(pdf: bytes, page: int, size_mm: tuple[float, float], pixels_per_mm: float) -> Image.Image:
    """The filled rectangles of one page of a PDF of ours (ASCII85 and Flate streams, operator `re`)."""
    import base64

    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    content = [zlib.decompress(base64.a85decode(s.strip().removesuffix(b"~>"))) for s in streams if b"~>" in s]
    picture = Image.new("L", (round(size_mm[0] * pixels_per_mm), round(size_mm[1] * pixels_per_mm)), 255)
    draw = ImageDraw.Draw(picture)
    for x, y, width, height in re.findall(rb"([\d.-]+) ([\d.-]+) ([\d.-]+) ([\d.-]+) re", content[page]):
        left, bottom, wide, high = (float(n) / MM for n in (x, y, width, height))
        _fill(draw, (left, size_mm[1] - bottom - high, wide, high), pixels_per_mm)
    return picture


def _fill(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], scale: float) -> None:
    left, top, width, height = (value * scale for value in box)
    draw.rectangle((round(left), round(top), round(left + width) - 1, round(top + height) - 1), fill=0)
