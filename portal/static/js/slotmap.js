// The slot map of a concentrator: fetches its columns, draws them, listens to mouse, fingers, keys and the list below, and
// fetches both anew when something has changed there.
import { number } from "./format.js";
import { Boxes } from "./slotmap_data.js";
import { Drawing } from "./slotmap_draw.js";
import { time } from "./slotmap_frame.js";
import { Gestures } from "./slotmap_moves.js";
import { View } from "./slotmap_view.js";
import { word } from "./words.js";

const SHOWN_MS = 4000; // around a slot that was looked for
const MAX_CHOSEN = 200; // slots of a search that are marked

class SlotMap {
  constructor(element) {
    this.element = element;
    this.field = element.querySelector(".slotmap-field");
    this.canvas = element.querySelector("canvas");
    this.note = element.querySelector("[data-note]");
    [this.chosen, this.pointed] = [new Set(), new Set()];
    this.load();
  }

  async load() {
    try {
      const answer = await this.fetched();
      this.edition = answer.headers.get("ETag");
      this.begin(await answer.json());
    } catch {
      this.note.hidden = false;
      this.note.textContent = word("map failed");
    }
  }

  async fetched() {
    const answer = await fetch(this.element.dataset.slotmap, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer;
  }

  /** What has changed since, at the same place and with the same slots marked; without the network it stays as it is. */
  async follow() {
    const answer = await this.fetched().catch(() => undefined);
    const edition = answer?.headers.get("ETag");
    const data = edition && edition !== this.edition ? await answer.json().catch(() => undefined) : undefined;
    if (!data) return;
    const marked = this.adapters(this.chosen);
    const opened = this.adapters(this.opened >= 0 ? [this.opened] : []);
    this.boxes = new Boxes(data);
    this.edition = edition;
    this.chosen = new Set(marked.flatMap((adapter) => this.boxes.of(adapter)));
    this.opened = opened.flatMap((adapter) => this.boxes.of(adapter))[0];
    this.gestures.here = undefined;
    this.point(-1);
    this.recolour();
    if (document.getElementById("slots").contains(document.activeElement)) return; // somebody goes through the list
    window.htmx.ajax("GET", location.pathname + location.search, { target: "#slots", swap: "innerHTML", event: new Event("live") });
  }

  /** Whose slots some boxes show. */
  adapters(boxes) {
    const found = [...boxes].flatMap((n) => this.boxes.members(n)).map((slot) => this.boxes.told(slot).adapter);
    return [...new Set(found)].filter(Boolean);
  }

  begin(data) {
    const began = performance.now();
    this.boxes = new Boxes(data);
    this.view = new View(this.boxes.frameMs, this.boxes.lanes);
    this.drawing = new Drawing(this.canvas.getContext("2d"), this.boxes, this.view);
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.field.append(this.tip);
    new ResizeObserver(() => this.resize()).observe(this.field);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    this.gestures = new Gestures(this);
    this.resize();
    performance.measure("slotmap-first", { start: began, end: performance.now() });
    this.listed();
    this.element.dataset.ready = "yes";
  }

  resize() {
    const [width, height, ratio] = [this.field.clientWidth, this.field.clientHeight, window.devicePixelRatio || 1];
    if (!width) return;
    [this.view.width, this.view.height] = [width, height];
    [this.canvas.width, this.canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    this.drawing.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw();
  }

  recolour() {
    this.drawing = new Drawing(this.drawing.context, this.boxes, this.view);
    this.draw();
  }

  /** At once; `redraw` waits for the next picture. */
  draw() {
    const began = performance.now();
    this.drawing.draw(this.chosen, this.pointed);
    performance.clearMeasures("slotmap-draw");
    performance.measure("slotmap-draw", { start: began, end: performance.now() });
  }

  redraw() {
    this.due ??= requestAnimationFrame(() => {
      this.due = undefined;
      this.draw();
    });
  }

  /** The box under a point of the field, or -1. */
  at(x, y) {
    const lane = this.view.lane(y);
    if (lane < 0 || lane >= this.view.lanes || x < this.view.x(this.view.start)) return -1;
    const reach = (6 / this.view.plotted) * this.view.span;
    const foot = y - this.view.y(lane) > this.view.laneHeight * 0.8;
    const found = this.boxes.near(lane, this.view.ms(x), reach, foot);
    return found >= 0 || !foot ? found : this.boxes.near(lane, this.view.ms(x), reach, false);
  }

  point(n, x = 0, y = 0) {
    this.pointed = new Set(n >= 0 ? [n] : []);
    this.tip.hidden = n < 0;
    if (n >= 0) {
      this.tip.replaceChildren(...this.lines(n).map((text, i) => Object.assign(document.createElement(i ? "span" : "b"), { textContent: text })));
      const [wide, high] = [this.tip.offsetWidth, this.tip.offsetHeight];
      this.tip.style.left = `${Math.max(0, Math.min(this.view.width - wide, x + 14 + wide > this.view.width ? x - wide - 14 : x + 14))}px`;
      this.tip.style.top = `${Math.max(0, Math.min(this.view.height - high, y + 14))}px`;
    }
    this.redraw();
  }

  /** A box in words: whose, when, how it is. */
  lines(n) {
    const members = this.boxes.members(n);
    const told = this.boxes.told(members[0]);
    const period = told.period >= 3600 ? `${told.period / 3600} h` : `${told.period / 60} min`;
    const head = members.length > 1 ? word("map turns", { n: number(members.length), of: number((told.period * 1000) / this.boxes.frameMs) }) : told.eui || word("map unnamed");
    return [
      head,
      told.word,
      `${time(this.boxes.begin[n])} · ${number(this.boxes.data.channels[told.channel], 1)} MHz`,
      `SF${12 - told.rate} · ${period} · ${number(told.length)} ms (±${number(told.guard)} ms)`,
    ];
  }

  say(n) {
    document.getElementById("announce").textContent = this.lines(n).join(", ");
  }

  /** Choose a box and fetch what is known of its adapter; again: the next of those that take turns in it. */
  open(n) {
    if (n < 0) return;
    const members = this.boxes.members(n);
    this.turn = this.opened === n ? (this.turn + 1) % members.length : 0;
    this.opened = n;
    this.chosen = new Set([n]);
    this.redraw();
    this.panel(this.boxes.told(members[this.turn]).adapter);
    this.say(n);
  }

  panel(adapter) {
    if (!adapter) return document.getElementById("panel").replaceChildren();
    const url = this.element.dataset.panel.replace("/0/", `/${adapter}/`);
    return window.htmx.ajax("GET", url, { target: "#panel", swap: "innerHTML" });
  }

  /** Jump to an adapter's slot, mark all its times and show its panel. */
  show(adapter) {
    const found = this.boxes.of(adapter);
    if (!found.length) return;
    this.chosen = new Set(found);
    this.opened = found[0];
    this.turn = 0;
    this.view.show(this.boxes.begin[found[0]] + this.boxes.length[found[0]] / 2, SHOWN_MS);
    this.redraw();
    this.panel(adapter);
    this.say(found[0]);
  }

  /** The list shows what was searched for: mark it; a single one is jumped to. */
  listed() {
    const query = new URLSearchParams(location.search);
    const rows = [...document.querySelectorAll("[data-slot-of]")].map((row) => Number(row.dataset.slotOf));
    if (!query.get("q") && !query.get("show")) {
      this.chosen = new Set();
      return this.redraw();
    }
    if (query.get("q") && rows.length === 1) return this.show(rows[0]);
    this.chosen = new Set(rows.slice(0, MAX_CHOSEN).flatMap((adapter) => this.boxes.of(adapter)));
    return this.redraw();
  }
}

for (const element of document.querySelectorAll("[data-slotmap]")) {
  const map = new SlotMap(element);
  element.slotmap = map;
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-show-slot]");
    if (!button || !map.boxes) return;
    map.show(Number(button.dataset.showSlot));
    element.scrollIntoView({ block: "nearest" });
  });
  element.addEventListener("live", () => map.boxes && map.follow());
  document.addEventListener("htmx:afterSettle", (event) => {
    const again = event.detail.requestConfig?.triggeringEvent?.type === "live"; // whoever looks has moved the map since
    if (event.target.id === "slots" && map.boxes && !again) map.listed();
  });
}
