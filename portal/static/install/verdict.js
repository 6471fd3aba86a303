// What a pairing's progress means for the person on the spot: form, word, and what is asked of them.
import { word } from "../js/words.js";

export const STEPS = ["claimed", "paired", "informed", "joined", "configured", "identity", "reading"];

// What the portal waits for without anything being wrong; `not_heard` becomes wrong after a while.
const USUAL = new Set(["not_informed", "heard", "configuring", "identifying", "reading", "proof"]);
const PATIENCE_MS = 45_000;

/** `{form, word, ask, over}`; ask: "" | "compare" | "mismatch"; over: nothing more will come by itself. */
export function verdict(progress) {
  const { state, identity, reading } = progress;
  if (state === "ended") return { form: "idle", word: word("state.ended"), ask: "", over: true };
  if (identity === "mismatch") return { form: "bad", word: word("state.mismatch"), ask: "mismatch", over: false };
  if (state === "confirmed") return { form: "ok", word: word("state.confirmed"), ask: "", over: Boolean(reading) };
  if (identity === "unreadable" && reading) return { form: "warn", word: word("state.compare"), ask: "compare", over: false };
  const waiting = firstOpen(progress);
  return { form: stuck(progress.waiting) ? "warn" : "idle", word: waiting ? word(`now.${waiting}`) : word("state.waiting"), ask: "", over: false };
}

/** Whether a step does not move and somebody should do something. */
function stuck(waiting) {
  if (!waiting || USUAL.has(waiting.code)) return false;
  return waiting.code !== "not_heard" || Date.now() - Date.parse(waiting.since) > PATIENCE_MS;
}

/** The first step that has not happened. */
export function firstOpen({ steps }) {
  const reached = new Set(steps.filter((step) => step.at).map((step) => step.step));
  return STEPS.find((step) => !reached.has(step)) ?? null;
}
