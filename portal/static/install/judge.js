// Decides over a scanned text: the hint at once, the portal where there is network.
import { word } from "../js/words.js";
import { classify, wrongFor } from "./classify.js";
import { send } from "./net.js";
import { may, session } from "./session.js";

const PATIENCE_MS = 2_500; // longer would keep a person waiting for what the outbox settles anyway

/** `{ok, display, message, raw}`. */
export async function judge(raw, expected) {
  const hint = classify(raw);
  const wrong = wrongFor(hint, expected, may("pairing.end"));
  // The portal may know a code that the hint does not; a code of another kind is named without asking.
  const named = wrong && word(wrong, hint.values);
  if (wrong && hint.code !== "unknown") return { ok: false, message: named, raw };
  if (session.state === "in" && navigator.onLine) {
    const answer = await send("/api/v1/scans/", { raw, expected }, { timeout: PATIENCE_MS }).catch(() => null);
    if (answer && !answer.ok) return { ok: false, message: answer.message, raw };
    if (answer) return { ok: true, display: answer.display || hint.display, raw };
  }
  return wrong ? { ok: false, message: named, raw } : { ok: true, display: hint.display, raw };
}

/** Of several codes in one picture the one that the screen asks for, else the first. */
export function best(codes, expected) {
  return codes.find((code) => !wrongFor(classify(code), expected)) ?? codes[0];
}
