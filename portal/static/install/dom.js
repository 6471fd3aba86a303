// Elements from words: a small builder, so that no screen writes HTML as text.
import { word } from "../js/words.js";

/** `h("p", {class: "dim", onclick: f}, "text", child)`; a false attribute or child is left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child || child === 0));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
const icons = document.documentElement.dataset.icons;

/** A line icon; decoration only, the word stands beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${icons}#${name}`);
  svg.append(use);
  return svg;
}

/** A button with a word; `kind`: "main", "quiet", "danger" or nothing. */
export function button(text, onclick, { kind = "", symbol = "", ...more } = {}) {
  return h("button", { type: "button", class: `btn ${kind}`, onclick, ...more }, symbol && icon(symbol), h("span", {}, text));
}

/** A state as shape, colour and word; form: ok, warn, bad or idle. */
export function state(form, text) {
  return h("span", { class: `st ${form}` }, text);
}

/** A message with a coloured edge. */
export function message(form, ...content) {
  return h("div", { class: `msg ${form}` }, h("div", { class: "stack-s" }, ...content));
}

/** Asks before something is lost; resolves to whether the person said yes. */
export function confirmed(text, yes) {
  const dialog = h("dialog", { class: "ask", "aria-label": text },
    h("form", { method: "dialog" }, h("p", {}, text),
      h("div", { class: "btns" },
        h("button", { class: "btn", value: "no" }, word("cancel")),
        h("button", { class: "btn danger", value: "yes" }, yes))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    dialog.remove();
    resolve(dialog.returnValue === "yes");
  }));
}

/** Says it to screen readers. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}
