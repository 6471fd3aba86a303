// What came out: the reading beside the display, a meter that must be compared by eye, or the wrong meter.
import { number } from "../../js/format.js";
import { word } from "../../js/words.js";
import { spaced } from "../classify_meter.js";
import { button, confirmed, h, message } from "../dom.js";
import { send } from "../net.js";
import { toast } from "../notify.js";
import { soon } from "../results.js";
import { may } from "../session.js";
import { verdict } from "../verdict.js";

const KILO = { Wh: "kWh", varh: "kvarh", VAh: "kVAh" }; // displays show thousands
const IN_KWH = { kWh: 1, Wh: 0.001, MWh: 1000 };
const NEAR = 2; // kWh: the display may have moved on since, and cuts decimals off

/** A part for the top of the page, or null while there is nothing to say. */
export function findings(progress, context) {
  const { ask } = verdict(progress);
  if (ask === "mismatch") return mismatch(progress, context);
  if (!progress.reading) return null;
  return h("section", { class: "card result", "aria-label": word("first reading") },
    h("span", { class: "dim" }, word("should show")), h("div", { class: "big" }, shown(progress.reading)),
    h("span", { class: "dim small" }, meaning(progress.reading.obis)), typed(progress), ask === "compare" && compare(progress, context));
}

function shown({ value, unit }) {
  if (value === null || value === undefined) return word("sealed value");
  const [figure, name] = KILO[unit] ? [Number(value) / 1000, KILO[unit]] : [Number(value), unit];
  return `${number(figure, decimals(figure))} ${name}`;
}

const decimals = (value) => Math.min(3, (String(value).split(".")[1] ?? "").length);

function meaning(obis) {
  const short = /(\d+\.\d+\.\d+)/.exec(obis)?.[1] ?? obis;
  const name = { "1.8.0": word("import"), "2.8.0": word("export") }[short];
  return name ? `${name} ${short}` : short;
}

/** What the person typed from the display, and whether it fits. */
function typed({ display_value, display_unit, reading }) {
  if (!display_value) return null;
  const line = h("p", {}, word("you typed"), " ", h("b", {}, `${number(Number(display_value), decimals(Number(display_value)))} ${display_unit}`));
  const factor = { Wh: 0.001, kWh: 1 }[reading.unit];
  if (!factor || !IN_KWH[display_unit] || reading.value === null) return line;
  const fits = Math.abs(Number(reading.value) * factor - Number(display_value) * IN_KWH[display_unit]) <= NEAR;
  return h("div", {}, line, h("span", { class: `st ${fits ? "ok" : "warn"}` }, word(fits ? "fits" : "differs")));
}

function compare(progress, { again }) {
  const yes = () => act(`/api/v1/pairings/${progress.id}/confirm/`, {}, again);
  const no = (event) => event.target.closest(".compare").append(message("warn", h("p", {}, word("not the display")), h("p", {}, word("not the display do"))));
  return h("div", { class: "compare stack-s" }, h("h2", {}, word("display asks")), h("p", { class: "dim" }, progress.waiting?.message ?? ""),
    h("div", { class: "equals" }, button(word("yes"), yes, { kind: "main" }), button(word("no"), no)));
}

function mismatch(progress, { again }) {
  const { waiting, identity_read, meter } = progress;
  const path = `/api/v1/pairings/${progress.id}/resolve/`;
  const resolve = async (how) => (await confirmed(word(`resolve.${how} ask`), word(`resolve.${how}`))) && act(path, { how }, again);
  const parts = [h("h2", {}, word("wrong meter")), h("p", {}, waiting?.message ?? "")];
  const row = (name, text) => [h("dt", {}, name), h("dd", { class: "id" }, text)];
  if (identity_read) parts.push(h("dl", { class: "kv" }, row(word("you scanned"), meter ? spaced(meter) : ""), row(word("it reads"), identity_read)));
  parts.push(h("p", { class: "dim" }, word("quarantined")));
  if (may("pairing.end")) {
    parts.push(h("div", { class: "btns" }, waiting?.other && button(word("resolve.swap"), () => resolve("swap"), { kind: "main" }),
      button(word("resolve.retry"), () => resolve("retry")), identity_read && !waiting?.other && button(word("resolve.accept"), () => resolve("accept"))));
  } else {
    parts.push(h("p", {}, word(waiting?.other ? "swap by operator" : "move then operator")));
    if (waiting?.other) parts.push(h("div", {}, h("a", { class: "btn", href: `#/installation/p${waiting.other}` }, word("other installation"))));
  }
  return h("section", { class: "msg bad", "aria-label": word("wrong meter") }, h("div", { class: "stack-s" }, parts));
}

async function act(path, body, again) {
  try {
    await send(path, body);
    soon(0);
  } catch (refusal) {
    toast("warn", refusal.offline ? word("needs network") : refusal.message);
  }
  again();
}
