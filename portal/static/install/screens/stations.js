// The stations of a pairing, each with its time, and the one that does not move with its reason.
import { day, moment } from "../../js/format.js";
import { locale, word, zone } from "../../js/words.js";
import { h } from "../dom.js";
import { firstOpen, STEPS } from "../verdict.js";

const SOON_MS = 3_600_000;
const DAY_MS = 86_400_000;
const clock = new Intl.DateTimeFormat(locale, { timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function stations(progress) {
  const rows = new Map(progress.steps.map((step) => [step.step, step]));
  const first = Date.parse(rows.get("claimed")?.at ?? progress.from_at);
  const open = progress.state === "ended" ? null : progress.waiting?.step ?? firstOpen(progress);
  return h("ol", { class: "stations card", "aria-label": word("stations") }, STEPS.map((step) => {
    const at = rows.get(step)?.at;
    const wrong = step === "identity" && progress.identity === "mismatch";
    const form = wrong ? "fail" : at ? "done" : step === open ? "now" : "todo";
    const says = step === progress.waiting?.step && !wrong && progress.waiting.message;
    return h("li", { class: form, "data-step": step, "aria-current": form === "now" ? "step" : false },
      h("span", { class: "name" }, h("b", {}, word(`step.${step}`)), h("span", { class: "vh" }, ` ${word(`is.${form}`)}`),
        says && h("span", { class: "says" }, says), detail(step, rows.get(step)?.detail ?? {})),
      at ? time(at, first, step) : h("span", { class: "dim small" }, form === "now" ? word("waiting") : ""));
  }));
}

function detail(step, { rssi, outcome }) {
  if (step === "joined" && typeof rssi === "number") return h("span", { class: "dim small" }, `${String(Math.round(rssi)).replace("-", "−")} dBm`);
  if (step === "identity" && outcome) return h("span", { class: "dim small" }, word(`outcome.${outcome}`));
  return null;
}

function time(text, first, step) {
  const at = Date.parse(text);
  return h("time", { class: "dim small", datetime: text, title: moment(at) }, since(at, first, step));
}

function since(at, first, step) {
  if (Date.now() - at > DAY_MS) return day(at);
  if (step === "claimed" || at - first > SOON_MS || at < first) return clock.format(at);
  const seconds = (at - first) / 1000;
  return seconds < 60 ? `+ ${Math.round(seconds)} s` : `+ ${Math.round(seconds / 60)} min`;
}
