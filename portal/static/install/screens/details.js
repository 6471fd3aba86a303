// What may be added, none of it needed: where the meter hangs, what its display shows, a photo.
import { word } from "../../js/words.js";
import { button, h, icon } from "../dom.js";
import { finish, flow, note } from "../flow.js";
import { draw, prepared } from "../photo.js";

const PLACES = ["cellar", "ground floor", "1st floor", "2nd floor", "3rd floor"];
const UNITS = ["kWh", "MWh", "m³", "Wh", "l"];
const UNIT_OF = { 7: "m³", 8: "m³", 9: "m³" };
const VALUE = /^\d{1,11}([.,]\d{1,3})?$/;

export function details({ go }) {
  const { draft } = flow;
  const unit = draft.display_unit ?? UNIT_OF[draft.meter.display[0]] ?? "kWh";
  const why = h("p", { id: "value-why", class: "why bad", "aria-live": "polite" });
  const words = h("input", { id: "note", type: "text", maxlength: "200", autocomplete: "off", value: draft.note ?? "" });
  const value = h("input", {
    id: "value", type: "text", inputmode: "decimal", autocomplete: "off", maxlength: "15", value: draft.display_value ?? "",
    "aria-describedby": "value-why", oninput: () => check(value, why),
  });
  const units = h("select", { "aria-label": word("unit") }, UNITS.map((name) => h("option", { selected: name === unit }, name)));
  const chip = (place) => h("button", { type: "button", class: "btn small", onclick: () => (words.value = word(place)) }, word(place));
  const chips = h("div", { class: "chips" }, PLACES.map(chip));
  const input = h("select", { id: "input" }, [...Array(8).keys()].map((n) => h("option", { selected: n === (draft.input ?? 0) }, String(n))));
  const more = h("details", { open: Boolean(draft.input) }, h("summary", {}, word("several meters")),
    h("div", { class: "field" }, h("label", { for: "input" }, word("input")), input, h("span", { class: "help" }, word("input why"))));
  const said = () => ({ note: words.value.trim(), display_value: value.value.trim().replace(",", "."), display_unit: units.value, input: Number(input.value) });
  let sent = false;
  const send = async (event) => {
    event?.preventDefault();
    if (!check(value, why)) return value.focus();
    if (sent) return undefined;
    sent = true;
    await note(said());
    return go(`#/installation/e${await finish()}`, true);
  };
  const form = h("form", { class: "stack", id: "details", onsubmit: send }, codes(draft),
    h("div", { class: "field" }, h("label", { for: "note" }, word("note"), " ", optional()), words, chips),
    h("div", { class: "field" }, h("label", { for: "value" }, word("display"), " ", optional()),
      h("div", { class: "with-unit" }, value, units), why, h("span", { class: "help" }, word("display why"))),
    picture(draft), more);
  return {
    title: word("details title"), body: form, back: "#/meter", context: draft.site?.name,
    actions: [button(word(navigator.onLine ? "send" : "send later"), () => {}, { kind: "main wide", type: "submit", form: "details" })],
    leave: () => sent || note(said()),
  };
}

const optional = () => h("span", { class: "dim small" }, word("optional"));

function codes(draft) {
  const line = (name, text, href) => h("a", { class: "pair", href },
    h("span", { class: "st ok" }, name), h("b", { class: "id" }, text), h("span", { class: "more" }, word("change")));
  return h("div", { class: "card pairs" }, line(word("adapter"), draft.adapter.display, "#/adapter"), line(word("meter"), draft.meter.display, "#/meter"));
}

function check(input, why) {
  const text = input.value.trim();
  const good = !text || VALUE.test(text);
  why.textContent = good ? "" : word("display wrong");
  input.setAttribute("aria-invalid", String(!good));
  return good;
}

function picture(draft) {
  const canvas = h("canvas", { class: "shot", role: "img", "aria-label": word("photo of meter"), hidden: true });
  const status = h("span", { class: "help", role: "status" });
  const file = h("input", { type: "file", accept: "image/*", capture: "environment", hidden: true, onchange: picked });
  const add = button(word("add photo"), () => file.click(), { symbol: "picture" });
  const drop = button(word("drop photo"), () => keep(null), { kind: "quiet", hidden: true });

  async function picked() {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    try {
      await keep(await prepared(chosen));
      status.textContent = word("photo kept");
    } catch {
      status.textContent = word("photo.broken");
    }
  }

  async function keep(blob) {
    await note({ photo: blob });
    canvas.hidden = drop.hidden = !blob;
    if (blob) await draw(canvas, blob);
    else status.textContent = "";
  }

  if (draft.photo) keep(draft.photo);
  const name = h("span", { class: "lab" }, icon("picture"), " ", word("photo of meter"), " ", optional());
  return h("div", { class: "field" }, name, canvas, h("div", { class: "btns" }, add, drop), status, file);
}
