// The first screen: where one works, the big button, and what was installed today.
import { ago } from "../../js/format.js";
import { language, word } from "../../js/words.js";
import { button, confirmed, h, icon, message, state } from "../dom.js";
import { begun, flow, next, restart } from "../flow.js";
import { signOut } from "../leave.js";
import { post } from "../net.js";
import { toast } from "../notify.js";
import * as outbox from "../outbox.js";
import { renewShell } from "../ready.js";
import { foreign, installations, watch } from "../results.js";
import { session } from "../session.js";
import { summary } from "../summary.js";

export function home({ go }) {
  const place = h("div", {});
  const list = h("section", { "aria-labelledby": "today" });
  const draw = () => {
    place.replaceChildren(...sitePart());
    list.replaceChildren(...listPart());
  };
  draw();
  const stop = watch(draw);
  return {
    title: session.known?.organisation.name ?? "Meterspan",
    home: true,
    body: h("div", { class: "stack" }, place, list, person()),
    actions: begun()
      ? [button(word("go on"), () => go(next()), { kind: "main", symbol: "scan" }), button(word("begin anew"), async () => (await mayForget()) && go(next()))]
      : [button(word("new"), () => go(next()), { kind: "main", symbol: "scan" })],
    leave: stop,
    redraw: draw,
  };
}

async function mayForget() {
  if (!(await confirmed(word("forget draft"), word("begin anew")))) return false;
  await restart();
  return true;
}

function person() {
  const failed = (refusal) => toast("warn", refusal.offline ? word("needs network") : refusal.message);
  const languages = [["en", "English"], ["de", "Deutsch"]].map(([code, name]) => h("button", {
    type: "button", lang: code, "aria-pressed": String(code === language), onclick: () => speak(code).catch(failed),
  }, name));
  return h("footer", { class: "person dim small" }, h("span", { class: "grow" }, session.known?.user.name ?? ""),
    h("div", { class: "seg" }, languages), button(word("sign out"), () => signOut().catch(failed), { kind: "quiet small", symbol: "out" }));
}

async function speak(code) {
  await post("/language/", { language: code, next: "/install/" });
  sessionStorage.removeItem("spoken");
  await renewShell();
  location.reload();
}

function sitePart() {
  const { site } = flow.draft;
  if (!site) return [];
  return [h("a", { class: "place", href: "#/site" }, icon("site"),
    h("span", {}, h("b", {}, site.name), site.address && h("span", { class: "dim small" }, site.address)),
    h("span", { class: "more" }, word("change")))];
}

function listPart() {
  const rows = installations();
  const count = rows.length > 0 && h("span", { class: "dim small" }, word("count", { n: rows.length }));
  const heading = h("div", { class: "head" }, h("h2", { id: "today" }, word("today")), count);
  const parts = [heading];
  if (foreign().length) parts.push(foreignPart(foreign()));
  if (rows.length) parts.push(h("ul", { class: "items" }, rows.map(item)));
  else parts.push(h("div", { class: "card empty" }, h("h3", {}, word("empty title")), h("p", {}, word("empty text"))));
  return parts;
}

function item(row) {
  const { form, text } = summary(row);
  const where = [row.note, row.site].filter(Boolean).join(" · ");
  return h("li", {}, h("a", { class: "item card", href: `#/installation/${row.key}` },
    h("b", { class: "id" }, row.meter || row.adapter), h("time", { class: "dim small", datetime: new Date(row.at).toISOString(), "data-ago": "" }, ago(row.at)),
    state(form, text), where && h("span", { class: "dim small" }, where)));
}

function foreignPart(rows) {
  const others = [...new Set(rows.map((row) => row.organisation_name))].join(", ");
  const drop = async () => {
    if (!(await confirmed(word("discard foreign ask", { n: rows.length }), word("discard")))) return;
    for (const row of rows) await outbox.discard(row.id);
  };
  return message("warn", h("p", {}, word("foreign", { n: rows.length, organisation: others })), h("div", {}, button(word("discard"), drop, { kind: "danger small" })));
}
