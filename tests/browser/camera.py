"""Films for a fake camera: what the product prints, held into a cellar's light. Written as y4m with Pillow alone."""

from dataclasses import dataclass
from pathlib import Path

import zxingcpp
from PIL import Image, ImageEnhance, ImageFilter

from tests.support.pictures import of_svg

SIZE = (640, 480)
FRAMES_PER_S = 15
WALL = (172, 168, 160)
FLAGS = ["--use-fake-device-for-media-stream"]


@dataclass(frozen=True)
class Held:
    """How something is held in front of the camera; `height` in pixels of the picture."""

    height: int = 300
    degrees: float = 0
    light: float = 1
    blur: float = 0


def printed(svg: str) -> Image.Image:
    """A label as the product prints it."""
    return of_svg(svg, 24)


def barcode(text: str, kind: str = "Code128") -> Image.Image:
    """A meter's code, by a foreign writer; in a form, such as DataMatrix, that the library knows by that name."""
    code = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, kind))
    picture = Image.fromarray(code.to_image(scale=4)).convert("L")
    framed = Image.new("L", (picture.width + 60, picture.height + 60), 255)
    framed.paste(picture, (30, 30))
    return framed


def scene(thing: Image.Image, held: Held) -> Image.Image:
    """One picture of the camera."""
    scale = min(held.height / thing.height, SIZE[0] * 0.9 / thing.width)
    card = thing.convert("RGBA").resize(
        (round(thing.width * scale), round(thing.height * scale)), Image.Resampling.LANCZOS
    )
    card = card.rotate(held.degrees, Image.Resampling.BICUBIC, expand=True)
    picture = Image.new("RGB", SIZE, WALL)
    picture.paste(card, ((SIZE[0] - card.width) // 2, (SIZE[1] - card.height) // 2), card)
    if held.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(held.blur))
    return ImageEnhance.Brightness(picture).enhance(held.light)


def film(path: Path, *scenes: tuple[Image.Image, int]) -> Path:
    """Pictures, each for so many frames; the browser plays them in a loop."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(f"YUV4MPEG2 W{SIZE[0]} H{SIZE[1]} F{FRAMES_PER_S}:1 Ip A1:1 C420jpeg\n".encode())
        for picture, frames in scenes:
            y, cb, cr = picture.convert("YCbCr").split()
            half = (SIZE[0] // 2, SIZE[1] // 2)
            planes = y.tobytes() + cb.resize(half).tobytes() + cr.resize(half).tobytes()
            file.write((b"FRAME\n" + planes) * frames)
    return fresh.replace(path)  # in one step: a camera may still be playing the last film


def flags(path: Path) -> list[str]:
    """What Chromium must be started with to see this film."""
    return [*FLAGS, f"--use-file-for-fake-video-capture={path}"]


# In a page of the app: opens the camera and gives the milliseconds of so many decodings that found something.
DECODE = """
async (rounds) => {
  const { decode } = await import("/static/install/decoder.js");
  const { fromVideo } = await import("/static/install/frames.js");
  const video = document.createElement("video");
  video.muted = true;
  const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
  const stream = await navigator.mediaDevices.getUserMedia({ video: size });
  video.srcObject = stream;
  await video.play();
  await decode(fromVideo(video, 0));
  const spent = [];
  for (let turn = 0; spent.length < rounds && turn < 10 * rounds; turn++) {
    await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    const started = performance.now();
    const codes = await decode(fromVideo(video, turn));
    if (codes.length) spent.push(performance.now() - started);
  }
  stream.getTracks().forEach((track) => track.stop());
  return spent;
}
"""
