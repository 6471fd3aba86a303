// Photos: codes read out of them, and made small enough to send.
import { decode } from "./decoder.js";
import { fromPhoto, smaller } from "./frames.js";

const SIDE = 1600;
const QUALITY = 0.82;

/** The codes in a photo, the first size that shows any. Throws "no picture" for what is none. */
export async function codesIn(file) {
  const bitmap = await open(file);
  for (const picture of fromPhoto(bitmap)) {
    const codes = await decode(picture);
    if (codes.length) return codes;
  }
  return [];
}

/** The photo as it will be sent. Throws "no picture". */
export async function prepared(file) {
  return smaller(await open(file), SIDE, QUALITY);
}

/** Draws it; an address of the form blob: would need a hole in the page's policy. */
export async function draw(canvas, blob) {
  const bitmap = await open(blob);
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

async function open(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error("no picture");
  }
}
