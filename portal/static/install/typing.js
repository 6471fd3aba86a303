// What to say while somebody types a code: how far it is, or what is wrong and where.
import { classify, wrongFor } from "./classify.js";
import { isSector } from "./classify_meter.js";

const LENGTH = 14;
// What each place of a meter's number must be, by the place at which it ends.
const PLACES = [
  ["sector", isSector, 1],
  ["maker", (character) => /[A-Z]/.test(character), 4],
  ["block", (character) => /[0-9A-F]/.test(character), 6],
  ["number", (character) => /[0-9]/.test(character), LENGTH],
];

/** `{form: "ok" | "wait" | "bad", key, values}`; `operator`: an adapter's bare number will do. */
export function typing(text, expected, operator = false) {
  if (!text.trim()) return { form: "wait", key: `type.${expected}`, values: {} };
  const found = classify(text);
  const key = wrongFor(found, expected, operator);
  if (!key) return { form: "ok", key: "type.ok", values: { what: found.display } };
  if (["empty", "control_characters", "too_long"].includes(found.kind)) return { form: "bad", key, values: found.values };
  return (expected === "meter" ? meterSoFar : adapterSoFar)(text, found) ?? { form: "bad", key, values: found.values };
}

function meterSoFar(text, { kind, code }) {
  const compact = text.toUpperCase().replace(/[\s\-._/]/g, "");
  if (compact.length >= LENGTH || kind === "adapter" || kind === "dev_eui") return null;
  for (const [i, character] of [...compact].entries()) {
    const [name, fits] = PLACES.find(([, , end]) => i < end);
    if (!fits(character)) return kind === "meter_typo" && code !== "number_only" ? null : { form: "bad", key: `type.${name}`, values: { n: i + 1, character } };
  }
  return { form: "wait", key: "type.count", values: { n: compact.length } };
}

function adapterSoFar(text, { kind, code }) {
  const label = "LW:D0:".startsWith(text.trim().toUpperCase().slice(0, 6));
  if (label && code !== "several_adapters") {
    return code === "checksum" ? null : { form: "wait", key: "type.label", values: { n: text.trim().length } };
  }
  const digits = text.replace(/[-:. ]/g, "");
  return kind === "unknown" && /^[0-9A-F]{1,15}$/i.test(digits) ? { form: "wait", key: "type.eui", values: { n: digits.length } } : null;
}
