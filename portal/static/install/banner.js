// One line above the screen for what is not as usual: no network, signed out, a new version, scans that wait.
import { word } from "../js/words.js";
import { button, h } from "./dom.js";
import { pending } from "./results.js";
import { session } from "./session.js";
import { apply } from "./ready.js";

/** The banner, or null when everything is as usual. The new version is only offered on the first screen. */
export function banner(atHome) {
  const count = pending();
  const waits = count > 0 && word(count === 1 ? "waits one" : "waits", { n: count });
  if (session.state === "out") {
    return line("warn", [word("signed out"), waits], h("a", { class: "btn small", href: "/login/?next=/install/" }, word("sign in")));
  }
  if (session.state === "forbidden") return line("bad", [word("forbidden")]);
  if (!navigator.onLine || session.state === "offline") return line("idle", [word("offline"), waits]);
  if (atHome && "update" in document.documentElement.dataset) return line("idle", [word("new version")], button(word("update"), apply, { kind: "small" }));
  return null;
}

function line(form, texts, action) {
  return h("div", { id: "banner", class: `msg ${form}`, role: "status" }, h("span", { class: "grow" }, texts.filter(Boolean).join(" ")), action);
}
