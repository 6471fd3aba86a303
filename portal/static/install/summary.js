// One line of the list: the outbox's state, or what the pairing has come to.
import { word } from "../js/words.js";
import { verdict } from "./verdict.js";

/** `{form, text}` of an installation as `results.installations` gives it. */
export function summary({ entry, progress }) {
  if (entry?.state === "failed") return { form: "bad", text: word("state.failed") };
  if (entry?.state === "syncing") return { form: "idle", text: word("state.syncing") };
  if (entry?.state === "pending") return { form: "warn", text: word("state.pending") };
  if (!progress) return { form: "idle", text: word(entry ? "state.synced" : "state.waiting") };
  const found = verdict(progress);
  return { form: found.form, text: found.word };
}
