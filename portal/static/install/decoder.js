// Reads codes from pictures with the vendored decoder, which is loaded when it is first needed.
const root = document.documentElement.dataset;
const FORMATS = ["qr_code", "data_matrix", "code_128", "code_39", "ean_13", "ean_8", "itf", "aztec", "pdf417"];
let loading;

/** Resolves when the decoder can be used; throws when its files cannot be had (first use without network). */
export function ready() {
  loading ??= load();
  loading.catch(() => (loading = undefined));
  return loading;
}

/** The codes in an ImageData, as texts. */
export async function decode(picture) {
  const detector = await ready();
  return (await detector.detect(picture)).map((code) => code.rawValue).filter(Boolean);
}

async function load() {
  if (!window.BarcodeDetectionAPI) await script(root.decoder);
  const { BarcodeDetector, prepareZXingModule } = window.BarcodeDetectionAPI;
  await prepareZXingModule({ overrides: { locateFile: () => root.wasm }, fireImmediately: true });
  return new BarcodeDetector({ formats: FORMATS });
}

function script(address) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = address;
    element.onload = resolve;
    element.onerror = () => {
      element.remove();
      reject(new Error("the decoder could not be loaded"));
    };
    document.head.append(element);
  });
}
