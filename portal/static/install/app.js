// The installer's app: starts from what the phone remembers, shows one screen at a time, and lets the rest run behind.
import { ago } from "../js/format.js";
import { word } from "../js/words.js";
import { h, icon } from "./dom.js";
import { begun, flow, next, takeUp } from "./flow.js";
import { keepReady, renewShell } from "./ready.js";
import { begin as notify } from "./notify.js";
import { banner } from "./banner.js";
import { tidy } from "./outbox.js";
import { begin as watchResults, watch } from "./results.js";
import { details } from "./screens/details.js";
import { home } from "./screens/home.js";
import { installation } from "./screens/installation.js";
import { scan } from "./screens/scan.js";
import { site } from "./screens/site.js";
import { refresh, remembered, session } from "./session.js";
import { keepSyncing } from "./sync.js";

const TICK_MS = 10_000;
const header = document.getElementById("top");
const main = document.getElementById("main");
const bar = document.getElementById("bar");
const screens = { site, adapter: scan("adapter"), meter: scan("meter"), details };
let current = null;
let open = null; // the pairing on screen
let turn = 0;

/** Shows another screen; `replace`: going back skips the present one. */
function go(hash, replace = false) {
  if (hash === location.hash) show();
  else if (replace) location.replace(hash);
  else location.hash = hash;
}

function screenOf(hash) {
  const found = /^#\/installation\/([ep])(\d+)$/.exec(hash);
  if (found) return installation(found[1], Number(found[2]));
  const name = hash.slice(2);
  // A step whose predecessor is missing leads to the one that is.
  if (name === "meter" && !flow.draft.adapter) return null;
  if (name === "details" && !(flow.draft.adapter && flow.draft.meter)) return null;
  return Object.hasOwn(screens, name) ? screens[name] : home;
}

async function show() {
  const mine = ++turn;
  const screen = screenOf(location.hash);
  if (!screen) return go(next(), true);
  current?.leave?.();
  current = null;
  open = null;
  const made = await screen({ go, here: (pairing) => mine === turn && (open = pairing) });
  if (mine !== turn) return made.leave?.();
  current = made;
  document.title = `${made.title} · Meterspan`;
  header.replaceChildren(...head(made));
  main.replaceChildren(...[banner(made.home), made.help && h("p", { class: "dim" }, made.help), made.body].filter(Boolean));
  bar.replaceChildren(...made.actions);
  bar.hidden = !made.actions.length;
  document.body.dataset.screen = location.hash.split("/")[1] || "home";
  scrollTo(0, 0);
  header.querySelector("h1").focus({ preventScroll: true });
  return undefined;
}

function head({ title, step, context, home: atHome, back = "#/" }) {
  return [
    atHome ? h("span", { class: "mark" }, h("img", { src: document.documentElement.dataset.badge, alt: "", width: 28, height: 28 }))
      : h("a", { class: "back", href: back, "aria-label": word("back") }, icon("back")),
    h("h1", { tabindex: "-1" }, title),
    context && h("span", { class: "context dim small" }, context),
    step && h("span", { class: "step dim small" }, word("step of", { n: step, all: 2 })),
    atHome && h("a", { class: "btn quiet", href: "/" }, word("portal")),
  ].filter(Boolean);
}

/** The strip that says what is not as usual; the screen itself stays as it is. */
function renewBanner() {
  const old = document.getElementById("banner");
  const fresh = banner(current?.home);
  if (old && fresh) old.replaceWith(fresh);
  else if (old) old.remove();
  else if (fresh) main.prepend(fresh);
}

async function start() {
  try {
    await tidy();
    // The very first time there is nothing to show before the portal has answered.
    if (!(await remembered())) await refresh();
  } catch {
    main.replaceChildren(h("div", { class: "msg bad" }, h("p", {}, word("no store"))));
    return;
  }
  await takeUp();
  await watchResults();
  notify((pairing) => pairing === open);
  addEventListener("hashchange", show);
  for (const event of ["online", "offline"]) addEventListener(event, renewBanner);
  watch(renewBanner);
  await show();
  document.documentElement.dataset.ready = "";
  keepSyncing();
  keepReady({ go, fresh: () => (document.documentElement.dataset.update = "", renewBanner()) });
  addEventListener("session", adapt);
  setInterval(tick, TICK_MS);
}

/** The portal has told who works here: the site may be known now, and the language may have been changed elsewhere. */
async function adapt() {
  if (session.state !== "in") return;
  if (!flow.draft.site) {
    await takeUp();
    current?.redraw?.();
  }
  const { language } = session.known;
  // Once for each language: a page that cannot be had anew must not load for ever.
  if (language === document.documentElement.lang || begun() || sessionStorage.getItem("spoken") === language) return;
  await renewShell();
  if (begun()) return; // a scan came meanwhile
  sessionStorage.setItem("spoken", language);
  location.reload();
}

function tick() {
  for (const element of document.querySelectorAll("time[data-ago]")) element.textContent = ago(Date.parse(element.dateTime));
}

start();
