// Where the work is: one tap on the site, a search when there are many.
import { word } from "../../js/words.js";
import { h, icon, message } from "../dom.js";
import { flow, next, workAt } from "../flow.js";
import { findSites, session } from "../session.js";

const SHOWN = 30;
const SEARCH_FROM = 8;

export function site({ go }) {
  const list = h("ul", { class: "items" });
  const draw = async (text) => {
    const found = await findSites(text);
    list.replaceChildren(...found.slice(0, SHOWN).map((row) => h("li", {}, choice(row, go))));
    if (found.length > SHOWN) list.append(h("li", { class: "dim small" }, word("more sites", { n: found.length - SHOWN })));
    if (!found.length) list.append(h("li", {}, message("warn", h("p", {}, word(text ? "no site found" : "no site")))));
  };
  draw("");
  const known = session.known;
  const search = (known?.more_sites || known?.sites.length >= SEARCH_FROM) && h("div", { class: "field" },
    h("label", { for: "find" }, word("find site")),
    h("input", { id: "find", type: "search", autocomplete: "off", oninput: (event) => draw(event.target.value) }));
  return { title: word("site title"), body: h("div", { class: "stack" }, h("p", { class: "dim" }, word("site text")), search, list), actions: [] };
}

function choice(row, go) {
  const here = flow.draft.site?.id === row.id;
  const take = async () => {
    await workAt(row);
    go(next(), true);
  };
  return h("button", { type: "button", class: "place", onclick: take, "aria-pressed": here ? "true" : "false" }, icon("site"),
    h("span", {}, h("b", {}, row.name), row.address && h("span", { class: "dim small" }, row.address)),
    here && h("span", { class: "more" }, word("here")));
}
