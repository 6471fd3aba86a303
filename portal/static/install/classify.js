// Names a scanned text at once, also without network. Only a hint: the portal decides. This follows meterwire/scan file by
// file, and the cases of tests/vectors/scans.json judge both.
import { readAdapter } from "./classify_adapter.js";
import { readMeter, typo } from "./classify_meter.js";

const MAX_SCAN = 512;
const AIM = /^\][A-Za-z][0-9A-Za-z]/;
const REFUSED = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;
const KEY = /(?<![0-9A-F])([0-9A-F]{2}[-: ]?){15}[0-9A-F]{2}(?![0-9A-F])/i;
const WIFI = /^(WIFI:|DPP:)/i;
const URL_LIKE = /^([a-z][a-z0-9+.-]*:\/\/|www\.|(mailto|tel|sms|smsto|geo):)/i;
const CONTACT = /^(BEGIN:VC(ARD|ALENDAR)|BEGIN:VEVENT|MECARD:|BIZCARD:)/i;

/** `{kind, code, display, dev_eui, meter_id, owner_token, serial, values}`; kinds and codes as in meterwire/scan. */
export function classify(raw) {
  if (raw.length > MAX_SCAN && [...raw].length > MAX_SCAN) return scan("too_long", "too_long", { values: { limit: MAX_SCAN } });
  const text = clean(raw);
  if (text === null) return scan("control_characters");
  if (!text) return scan("empty");
  return readAdapter(text, scan) ?? readMeter(text, scan) ?? typo(text, scan) ?? other(text);
}

/** The key of the sentence for a code that is not what the screen asks for, else null. `typed`: a number will do. */
export function wrongFor({ kind, code }, expected, typed = false) {
  if (kind === expected) return null;
  if (kind === "dev_eui" && expected === "adapter") return typed ? null : "code.dev_eui";
  if (kind === "unknown" && code !== "unknown") return `code.${code}`;
  return FOUND.has(`${kind}.${expected}`) ? `found.${kind}.${expected}` : `code.${code}`;
}

// For which the sentence depends on what was asked for.
const FOUND = new Set([
  "meter.adapter", "adapter.meter", "dev_eui.meter", "meter_typo.adapter", "adapter_damaged.meter", "ean.adapter", "ean.meter",
  "unknown.adapter", "unknown.meter",
]);

function scan(kind, code = kind, more = {}) {
  return { kind, code, display: "", dev_eui: null, meter_id: null, owner_token: null, serial: null, values: {}, ...more };
}

function clean(raw) {
  let text = raw.replace(/[\r\n\t\u001d]+/g, "\n");
  if (REFUSED.test(text)) return null;
  text = text.replace(/\p{Zs}/gu, " ").trim().replace(AIM, "");
  return text.split("\n").map((line) => line.trim()).filter(Boolean).join("\n");
}

function other(text) {
  if (KEY.test(text)) return scan("unknown", "key");
  if (WIFI.test(text)) return scan("wifi");
  if (CONTACT.test(text)) return scan("unknown", "contact");
  if (URL_LIKE.test(text)) return scan("url");
  const compact = text.replaceAll(" ", "");
  if (/^[0-9]{12,14}$/.test(compact) && weighed(compact, 3) % 10 === 0) return scan("ean");
  if (/^[1-9][0-9]{10}$/.test(compact) && isMalo(compact)) return scan("unknown", "malo");
  return /^[A-Z]{2}[0-9]{11}[A-Z0-9]{20}$/i.test(compact) ? scan("unknown", "melo") : scan("unknown");
}

function weighed(digits, weight) {
  return [...digits].reverse().reduce((sum, digit, i) => sum + Number(digit) * (i % 2 ? weight : 1), 0);
}

function isMalo(digits) {
  const sum = [...digits.slice(0, -1)].reduce((total, digit, i) => total + Number(digit) * (i % 2 ? 2 : 1), 0);
  return (10 - (sum % 10)) % 10 === Number(digits.at(-1));
}
