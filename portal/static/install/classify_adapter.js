// Scans that are, or were meant to be, an adapter's label (TR005), and a DevEUI without one.
import { isAscii, plain } from "./look_alikes.js";

const MAX_LABEL = 256;
const CURRENT = /^LW:D0:/i;
const EUI = /^[0-9A-F]{16}$/i;
const TYPED_EUI = /^(?:DEV *EUI *[:=]? *)?((?:[0-9A-F]{2}[-:. ]?){7}[0-9A-F]{2})$/i;
const TEXT = /^[\x20-\x39\x3b-\x7e]+$/;

/** The scan of a label, a damaged one or a DevEUI; null for another text. */
export function readAdapter(text, scan) {
  const damaged = (code) => scan("adapter_damaged", code);
  if (/^LW([ÖÆØÇÑ>;])D0\1/i.test(text)) return damaged("keyboard_layout");
  if (/^URN *:(LW|DEV *:LW) *:/i.test(text)) return damaged("legacy_urn");
  if (/^LW *:/i.test(text)) return label(text, scan, damaged);
  const typed = TYPED_EUI.exec(text);
  if (typed) return named("dev_eui", "dev_eui", eui(typed[1]), scan);
  return !isAscii(text) && CURRENT.test(plain(text)) ? damaged("adapter_look_alike") : null;
}

function label(text, scan, damaged) {
  if (!CURRENT.test(text)) return damaged(CURRENT.test(text.replaceAll(" ", "")) ? "shape" : "label_version");
  if ((text.match(/LW:D0:/gi) ?? []).length > 1) return damaged("several_adapters");
  if (!isAscii(text)) return damaged(isAscii(plain(text)) ? "adapter_look_alike" : "shape");
  // A label is printed in capitals; a keyboard wedge under caps lock turns them all round.
  let refusal = "shape";
  for (const candidate of new Set([text, text.toUpperCase()])) {
    const found = parse(candidate);
    if (typeof found !== "string") {
      return { ...named("adapter", found.checked ? "adapter" : "adapter_unchecked", found.dev_eui, scan), owner_token: found.O ?? null, serial: found.S ?? null };
    }
    if (found === "checksum") refusal = found;
  }
  return damaged(refusal);
}

/** What the label says, or why it is none: "shape" or "checksum". */
function parse(text) {
  const [lw, version, join, device, profile, ...rest] = text.split(":");
  if (text.length > MAX_LABEL || lw !== "LW" || version !== "D0" || profile === undefined) return "shape";
  if (!EUI.test(eui(join)) || !EUI.test(eui(device)) || !/^[0-9A-F]{8}$/i.test(profile)) return "shape";
  const fields = {};
  let order = "OSPC";
  for (const part of rest) {
    const place = part ? order.indexOf(part[0]) : -1;
    if (place < 0) return "shape";
    order = order.slice(place + 1);
    fields[part[0]] = part.slice(1);
  }
  if ("C" in fields) {
    if (!/^[0-9A-F]{4}$/i.test(fields.C)) return "shape";
    if (crc16(text.slice(0, -":C0000".length)) !== parseInt(fields.C, 16)) return "checksum";
  }
  if ("OSP".split("").some((name) => name in fields && !TEXT.test(fields[name]))) return "shape";
  return { ...fields, checked: "C" in fields, dev_eui: eui(device) };
}

const eui = (text) => text.replace(/[-:. ]/g, "").toLowerCase();

function named(kind, code, dev_eui, scan) {
  const display = dev_eui.toUpperCase();
  return scan(kind, code, { dev_eui, display, values: { dev_eui: display } });
}

/** CRC-16, polynomial 0x8005 reflected, initial value 0xFFFF (TR005). */
function crc16(text) {
  let crc = 0xffff;
  for (const character of text) {
    crc ^= character.charCodeAt(0);
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0xa001 : 0);
  }
  return crc;
}
