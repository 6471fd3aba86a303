// The live stream: one EventSource per page. Rows that show an adapter or concentrator are patched in place;
// parts that list `data-live` are fetched again, at most once in the number of seconds they name.
import { ago, moment } from "./format.js";
import { word } from "./words.js";

const RETRY_MS = [1000, 2000, 5000, 10000, 30000];
const TROUBLE_MS = 10000; // after an answer that was none
const SLACK_S = 0.5; // by which the clocks of who tells and who makes the page may differ
const MISSED_MS = 2000; // whatever was missed is fetched that soon, whatever the pace
let failures = 0;
let source;
let made; // how old the page is, s since 1970; 0 from the first hello on

/** Opens the stream that the page names in <body data-stream>; does nothing on pages without one. */
export function follow() {
  const url = document.body.dataset.stream;
  if (!url || !window.EventSource) return;
  made = Number(document.body.dataset.made) || 0;
  open(url);
  addEventListener("pagehide", () => source?.close());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && source?.readyState === EventSource.CLOSED) open(url);
  });
}

function open(url) {
  source?.close();
  show("waiting");
  source = new EventSource(url);
  source.addEventListener("hello", (event) => {
    const { last } = JSON.parse(event.data);
    failures = 0;
    show("live");
    if (!made || last > made - SLACK_S) apply([{ kind: "many" }], MISSED_MS); // nobody listened when it was told
    made = 0;
  });
  source.addEventListener("changes", (event) => apply(JSON.parse(event.data)));
  source.addEventListener("paused", () => show("waiting"));
  source.addEventListener("bye", () => {
    source.close();
    open(url);
  });
  source.onerror = () => {
    source.close();
    show("waiting");
    const wait = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)];
    setTimeout(() => open(url), wait * (0.7 + 0.6 * Math.random()));
  };
}

function show(state) {
  for (const element of document.querySelectorAll(".live")) {
    element.dataset.state = state;
    element.textContent = word(state === "live" ? "live" : "reconnecting");
  }
}

/** `changes`: a list of {kind, adapter, concentrator, at}, or [{kind: "many"}] when there were too many to list. */
function apply(changes, most = Infinity) {
  for (const change of changes) {
    if (change.kind === "reading" && change.adapter) heard(change);
  }
  document.dispatchEvent(new CustomEvent("live-changes", { detail: changes }));
  refresh(changes.map((change) => change.kind), changes, most);
}

function heard(change) {
  const at = change.at ? Date.parse(change.at) : Date.now();
  for (const row of document.querySelectorAll(`[data-adapter="${change.adapter}"]`)) {
    const time = row.querySelector("time[data-last]");
    if (time) {
      time.dateTime = new Date(at).toISOString();
      time.title = moment(at);
      time.textContent = ago(at);
    }
    const state = row.querySelector("[data-state-of]");
    if (state && !state.classList.contains("ok")) {
      state.className = "st ok";
      state.textContent = word("on time");
    }
    row.classList.remove("fresh");
    void row.offsetWidth;
    row.classList.add("fresh");
  }
}

const due = new Map(); // parts by id: what will fetch them
const told = new Map(); // … and when news of them came last
const asked = new WeakMap(); // requests: when they left
const pace = (part) => Number(part.dataset.livePace || 3) * 1000;

function refresh(kinds, changes, most) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const wanted = part.dataset.live.split(" ");
    if (!kinds.some((kind) => kind === "many" || wanted.includes(kind))) continue;
    const mine = part.dataset.liveAdapter;
    if (mine && changes.length && !changes.some((c) => c.kind === "many" || String(c.adapter) === mine)) continue;
    const served = part.dataset.liveConcentrator;
    if (served && changes.length && !changes.some((c) => c.kind === "many" || String(c.concentrator) === served)) continue;
    told.set(part.id, performance.now());
    fetchIn(part.id, Math.min(pace(part), most));
  }
}

function fetchIn(id, ms) {
  if (due.has(id)) return;
  due.set(id, setTimeout(() => {
    due.delete(id);
    const now = document.getElementById(id);
    if (!now) return;
    if (busy(now)) fetchIn(id, pace(now));
    else now.dispatchEvent(new CustomEvent("live", { bubbles: false }));
  }, ms));
}

document.addEventListener("htmx:beforeRequest", ({ detail: { xhr } }) => asked.set(xhr, performance.now()));

/**
 * A large fleet is counted now and then only, and news may come while an answer is on its way: who has heard of something
 * newer than what the answer shows asks once more. The counts were so old when the answer left, which is not before the
 * question did.
 */
document.addEventListener("htmx:afterRequest", ({ detail: { elt, xhr } }) => {
  const news = told.get(elt?.id);
  if (news === undefined || !asked.has(xhr)) return;
  if (xhr.status === 0 || xhr.status >= 500) return fetchIn(elt.id, TROUBLE_MS);
  const seconds = (name) => Number(xhr.getResponseHeader(name)) * 1000; // 0 where it is not told
  if (asked.get(xhr) - seconds("X-Facts-Age") < news) fetchIn(elt.id, seconds("X-Facts-Again") || pace(elt));
});

/** Somebody is reading or typing inside: do not pull the ground away. */
function busy(part) {
  return part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea") || part.querySelector("details[open]") !== null;
}
