// Cuts the pictures that the decoder looks at out of a video or a photo.
const NEAR = 640; // side of the cut-out around the frame on screen
const WIDE = 960; // longer side of the whole picture
const PHOTO_SIDES = [1600, 900, 2600];
const canvas = document.createElement("canvas");
const brush = canvas.getContext("2d", { willReadFrequently: true });

/** What lies in the frame on screen, and every other time the whole picture: a label may be held too far to the side. */
export function fromVideo(video, turn) {
  const { videoWidth: width, videoHeight: height } = video;
  if (!width || !height) return null;
  if (turn % 2) return cut(video, 0, 0, width, height, WIDE);
  const side = Math.round(Math.min(width, height) * 0.8);
  return cut(video, (width - side) / 2, (height - side) / 2, side, side, NEAR);
}

/** A photo in several sizes: a code may fill it or be a speck in it. */
export function* fromPhoto(bitmap) {
  const longer = Math.max(bitmap.width, bitmap.height);
  const sides = PHOTO_SIDES.filter((side, i) => i === 0 || side < longer);
  for (const side of sides) yield cut(bitmap, 0, 0, bitmap.width, bitmap.height, side);
}

/** A smaller JPEG without what the camera wrote into it: place, time, make. Resolves to a Blob. */
export function smaller(bitmap, side, quality) {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const own = document.createElement("canvas");
  own.width = Math.round(bitmap.width * scale);
  own.height = Math.round(bitmap.height * scale);
  own.getContext("2d").drawImage(bitmap, 0, 0, own.width, own.height);
  return new Promise((resolve, reject) =>
    own.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", quality));
}

function cut(source, x, y, width, height, limit) {
  const scale = Math.min(1, limit / Math.max(width, height));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  brush.drawImage(source, x, y, width, height, 0, 0, canvas.width, canvas.height);
  return brush.getImageData(0, 0, canvas.width, canvas.height);
}
