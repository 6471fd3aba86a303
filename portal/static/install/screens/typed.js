// The field for typing a code, also for a reader that types; it says what is wrong while one types.
import { word } from "../../js/words.js";
import { button, h } from "../dom.js";
import { may } from "../session.js";
import { typing } from "../typing.js";

const PLACEHOLDER = { adapter: "LW:D0:…", meter: "1 EMH 00 1234 5678" };

/** `{element, use, focus}`; `use` is the button for the bar at the thumb. */
export function typed(expected, onText) {
  const why = h("p", { id: "why", class: "why wait", "aria-live": "polite" });
  const input = h("input", {
    id: "code", name: "code", class: "id", type: "text", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", enterkeyhint: "done",
    maxlength: "520", placeholder: PLACEHOLDER[expected], "aria-describedby": "why", oninput: check,
  });
  const form = h("form", { class: "typed field", onsubmit: submit, id: "typed", hidden: true }, h("label", { for: "code" }, word(`${expected} field`)), input, why);
  const use = button(word("use"), () => {}, { kind: "main wide", type: "submit", form: "typed" });

  function check() {
    const { form: shape, key, values } = typing(input.value, expected, may("pairing.end"));
    why.className = `why ${shape}`;
    why.textContent = word(key, values);
    input.setAttribute("aria-invalid", String(shape === "bad"));
    return shape;
  }

  function submit(event) {
    event.preventDefault();
    check();
    if (input.value.trim()) onText(input.value);
    else input.focus();
  }

  check();
  return { element: form, use, focus: () => input.focus() };
}
