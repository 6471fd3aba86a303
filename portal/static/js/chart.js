// Charts of an adapter: fetches columns, draws them with uPlot, and says the same by keyboard and as a table.
import { day, number } from "./format.js";
import { locale, word, zone } from "./words.js";

// Ticks carry hours and minutes: finer ones would all read the same.
const TICKS_S = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400, 172800, 345600, 604800, 1209600, 2419200];
const RETRY_MS = 8000;
const LIVE_PACE_MS = 3000;
const MAX_TABLE_ROWS = 400;
const MAX_REACH_PX = 60; // further away from the mouse a value is not meant
const STYLES = [{}, { dash: [7, 4] }, { dash: [2, 3] }, { dash: [10, 3, 2, 3] }];

// A step ends at its moment: the first one is drawn from the reading before it, which has no value of its own.
const drawn = (values, kind) => (kind === "steps" && values[0] === null && values.length > 1 ? [values[1], ...values.slice(1)] : values);

class Chart {
  constructor(element) {
    this.element = element;
    this.url = element.dataset.chart;
    this.plotted = element.querySelector(".plot");
    this.table = element.querySelector("[data-table]");
    this.note = element.querySelector("[data-note]");
    this.opener = element.querySelector("[data-open]");
    this.opener?.addEventListener("submit", (event) => this.open(event));
    const range = element.querySelector('[data-set="range"][aria-pressed="true"]');
    this.choice = { range: range.value, view: "flow" };
    const group = element.querySelector('[data-set="group"][aria-pressed="true"], input[data-set="group"]');
    if (group) this.choice.group = group.value;
    element.addEventListener("click", (event) => this.clicked(event));
    this.plotted.addEventListener("keydown", (event) => this.key(event));
    this.plotted.addEventListener("blur", () => this.leave());
    element.querySelector("details").addEventListener("toggle", () => this.fillTable());
    document.addEventListener("live-changes", (event) => this.live(event.detail));
    new ResizeObserver(() => this.resize()).observe(this.plotted);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.views();
    this.load();
  }

  clicked(event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.set) {
      this.choice[button.dataset.set] = button.value;
      for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
      if (button.dataset.set !== "view") delete this.choice.end;
      this.views();
      this.load();
    } else if (button.dataset.turn) {
      const end = this.data?.[button.dataset.turn];
      if (!end) return;
      if (button.dataset.turn === "after" && end * 1000 >= Date.now()) delete this.choice.end;
      else this.choice.end = end;
      this.load();
    }
  }

  /** Counters can be shown as what they gained; other registers have one view only. */
  views() {
    const views = this.element.querySelector("[data-views]");
    if (!views) return;
    const group = this.element.querySelector('[data-set="group"][aria-pressed="true"], input[data-set="group"]');
    views.hidden = group?.dataset.counter !== "yes";
  }

  live(changes) {
    const mine = this.element.dataset.liveAdapter;
    // Values that were opened are not opened again and again by themselves: each time stands in the audit.
    if (this.purpose || this.choice.end || this.due || !changes.some((c) => c.kind === "many" || (c.kind === "reading" && String(c.adapter) === mine))) return;
    const rested = performance.now() - (this.followed ?? -LIVE_PACE_MS);
    this.due = setTimeout(() => {
      this.due = undefined;
      this.followed = performance.now();
      this.behind = this.at !== undefined;
      if (!this.behind) this.load();
    }, Math.max(0, LIVE_PACE_MS - rested));
  }

  /** The form says what for; the values it opened go when the page goes. */
  open(event) {
    event.preventDefault();
    this.purpose = new FormData(this.opener);
    this.load();
  }

  ask() {
    const query = new URLSearchParams(this.choice);
    const headers = { Accept: "application/json" };
    if (!this.purpose) return fetch(`${this.url}?${query}`, { headers });
    return fetch(`${this.opener.action}?${query}`, { method: "POST", body: this.purpose, headers });
  }

  async load() {
    const turn = (this.turn = (this.turn || 0) + 1);
    this.plotted.setAttribute("aria-busy", "true");
    try {
      const answer = await this.ask();
      const data = await answer.json();
      if (turn !== this.turn) return;
      if (data.error) return this.refused(data.error);
      if (!answer.ok) throw new Error(String(answer.status));
      this.data = data;
      this.say(this.purpose ? word("opened") : "");
      this.draw();
    } catch {
      if (turn !== this.turn) return;
      this.say(word("failed"));
      setTimeout(() => turn === this.turn && this.load(), RETRY_MS);
    } finally {
      if (turn === this.turn) this.plotted.removeAttribute("aria-busy");
    }
  }

  /** Sealed values that are not opened: why, and the form stays for another try. */
  refused(text) {
    this.purpose = undefined;
    this.opener.hidden = false;
    this.say(text);
  }

  say(text) {
    this.note.hidden = !text;
    if (this.note.textContent !== text) this.note.textContent = text;
  }

  draw() {
    const data = this.data;
    if (!data) return;
    this.element.querySelector("[data-label]").textContent = data.label;
    this.element.querySelector('[data-turn="after"]').disabled = !data.after;
    const closed = data.opens && !this.purpose && this.opener;
    if (this.opener) this.opener.hidden = !closed;
    if (closed) this.say(word("closed"));
    this.legend();
    this.plot?.destroy();
    this.tip?.remove();
    this.at = undefined;
    if (!data.x.length) {
      this.plot = undefined;
      if (!closed) this.say(data.sealed ? word("sealed") : word("nothing"));
      this.table.replaceChildren();
      return;
    }
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.plot = new uPlot(this.options(), [data.x, ...data.series.map((s) => drawn(s.values, data.kind))], this.plotted);
    this.plot.over.append(this.tip);
    this.fillTable();
  }

  options() {
    const data = this.data;
    const style = getComputedStyle(this.element);
    const ink = style.getPropertyValue("color") && getComputedStyle(document.querySelector(".dim") || document.body).color;
    const line = colour("--line");
    // Two counters share no scale: beside a large one the small one would look as if it stood still.
    const apart = this.choice.view === "counter" && data.kind === "line" && data.series.length === 2;
    const scaleOf = (s) => (apart ? s.name : s.unit);
    const sides = [...new Map(data.series.map((s) => [scaleOf(s), s])).entries()];
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const grid = { stroke: line, width: 1 };
    const bars = data.kind === "bars";
    const axes = [{
      stroke: ink, font, size: 30, grid: { show: false }, ticks: { stroke: line, width: 1, size: 4 },
      incrs: TICKS_S,
      values: (_, splits, __, ___, step) => splits.map((at) => tick(at, step)),
    }];
    sides.slice(0, 2).forEach(([scale, { unit }], i) => axes.push({
      scale, side: i ? 1 : 3, stroke: apart ? colour(`--series-${i + 1}`) : ink, font, grid: i ? { show: false } : grid,
      ticks: { show: false }, size: this.gutter(unit),
      values: (_, splits) => splits.map((v, k) => (k === splits.length - 1 ? `${axis(v, splits)} ${unit}` : axis(v, splits))),
    }));
    const scales = { x: { time: true, range: () => this.span() } };
    for (const [scale, { unit }] of sides) scales[scale] = { range: (_, low, high) => reach(low, high, unit, data.kind) };
    return {
      width: this.plotted.clientWidth,
      height: this.height(),
      tzDate: (at) => (zone ? uPlot.tzDate(new Date(at * 1000), zone) : new Date(at * 1000)),
      padding: [16, sides.length > 1 ? 0 : 12, 0, 0],
      scales,
      axes,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars, size: 8 } },
      series: [{}, ...data.series.map((s, i) => this.series(s, i, bars, scaleOf(s)))],
      hooks: { setCursor: [() => this.point()] },
    };
  }

  series(s, i, bars, scale) {
    const stroke = colour(`--series-${(i % 4) + 1}`);
    const base = { label: s.name, scale, stroke, width: 2, spanGaps: this.data.kind === "line", points: { show: false } };
    if (bars) {
      const shift = this.data.series.length > 1 ? (i === 0 ? -1 : 1) : 0;
      return { ...base, width: 0, fill: stroke, paths: uPlot.paths.bars({ size: [shift ? 0.4 : 0.8, 60], align: shift === 0 ? 1 : shift === -1 ? -1 : 1, gap: 1 }) };
    }
    if (this.data.kind === "steps") {
      return { ...base, ...STYLES[i % 4], fill: i === 0 ? alpha(stroke) : undefined, paths: uPlot.paths.stepped({ align: -1 }) };
    }
    const sparse = this.data.x.length < 40;
    return { ...base, ...STYLES[i % 4], points: { show: sparse, size: 5, fill: stroke }, ...(s.unit === "DR" ? { paths: uPlot.paths.stepped({ align: -1 }) } : {}) };
  }

  span() {
    const { start, end, kind, width } = this.data;
    // Two bars share the place around their moment, a single one begins there.
    return kind === "bars" ? [start - (this.data.series.length > 1 ? width / 2 : 0), Math.min(end, Date.now() / 1000 + width)] : [start, end];
  }

  gutter(unit) {
    const values = this.data.series.filter((s) => s.unit === unit).flatMap((s) => s.values).filter((v) => v !== null);
    const most = Math.max(...values.map(Math.abs), 0);
    const signs = number(most, most < 10 ? 1 : 0).length + unit.length + (values.some((v) => v < 0) ? 2 : 1);
    return Math.max(46, signs * 7.5 + 12);
  }

  height() {
    return this.plotted.classList.contains("low") ? 200 : Math.max(220, Math.min(320, Math.round(this.plotted.clientWidth * 0.34)));
  }

  resize() {
    const width = this.plotted.clientWidth;
    if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: this.height() });
  }

  legend() {
    const place = this.element.querySelector("[data-legend]");
    place.replaceChildren(...this.data.series.map((s, i) => {
      const key = document.createElement("span");
      key.className = `key s${(i % 4) + 1}`;
      key.textContent = `${s.name}, ${s.unit}`;
      return key;
    }));
  }

  point() {
    const i = this.plot?.cursor.idx;
    if (!this.tip) return;
    const away = i === null || i === undefined || Math.abs(this.plot.valToPos(this.data.x[i], "x") - this.plot.cursor.left) > MAX_REACH_PX;
    if (away || this.plot.cursor.left < 0) {
      this.tip.hidden = true;
      return;
    }
    const head = document.createElement("b");
    head.textContent = this.moment(i);
    this.tip.replaceChildren(head, ...this.data.series.map((s, k) => {
      const row = document.createElement("span");
      row.className = `key s${(k % 4) + 1}`;
      row.textContent = `${s.name} ${this.value(s, i)}`;
      return row;
    }));
    this.tip.hidden = false;
    const { left } = this.plot.cursor;
    const room = this.plot.over.clientWidth - this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, Math.min(room, left + 14 > room ? left - this.tip.offsetWidth - 14 : left + 14))}px`;
    this.tip.style.top = "8px";
  }

  moment(i) {
    const at = this.data.x[i] * 1000;
    if (this.data.kind !== "bars") return day(at);
    if (this.data.width > 3600) return new Intl.DateTimeFormat(locale, { timeZone: zone, weekday: "short", day: "numeric", month: "short" }).format(at);
    const clock = new Intl.DateTimeFormat(locale, { timeZone: zone, hour: "2-digit", minute: "2-digit" });
    return `${day(at)} – ${clock.format(at + this.data.width * 1000)}`;
  }

  value(s, i) {
    const value = s.values[i];
    return value === null || value === undefined ? "–" : s.unit === "DR" ? `DR${value}` : `${number(value, s.digits)} ${s.unit}`;
  }

  key(event) {
    if (!this.plot) return;
    const last = this.data.x.length - 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (event.key === "Escape") return this.leave();
    if (event.key === "Home") this.at = 0;
    else if (event.key === "End") this.at = last;
    else if (step) this.at = Math.max(0, Math.min(last, (this.at ?? (step > 0 ? -1 : last + 1)) + step));
    else return;
    event.preventDefault();
    this.plot.setCursor({ left: this.plot.valToPos(this.data.x[this.at], "x"), top: 10 });
    const place = document.getElementById("announce");
    place.textContent = `${this.moment(this.at)}: ${this.data.series.map((s) => `${s.name} ${this.value(s, this.at)}`).join(", ")}`;
  }

  leave() {
    this.at = undefined;
    if (this.tip) this.tip.hidden = true;
    this.plot?.setCursor({ left: -10, top: -10 });
    if (this.behind && !this.purpose && !this.choice.end) this.load(); // somebody was reading when a newer one came
    this.behind = false;
  }

  fillTable() {
    if (!this.element.querySelector("details").open || !this.data?.x.length) return;
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const text of [word("time"), ...this.data.series.map((s) => `${s.name} (${s.unit})`)]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = text;
      if (head.cells.length) cell.className = "num";
      head.append(cell);
    }
    const body = table.createTBody();
    for (let i = this.data.x.length - 1; i >= Math.max(0, this.data.x.length - MAX_TABLE_ROWS); i--) {
      const row = body.insertRow();
      row.insertCell().textContent = this.moment(i);
      for (const s of this.data.series) {
        const cell = row.insertCell();
        cell.className = "num";
        cell.textContent = s.values[i] === null || s.values[i] === undefined ? "–" : number(s.values[i], s.digits);
      }
    }
    this.table.replaceChildren(table);
  }
}

const clocks = new Intl.DateTimeFormat(locale, { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const days = new Intl.DateTimeFormat(locale, { timeZone: zone, day: "numeric", month: "short" });

/** The computed value of a colour token in the present theme. */
function colour(token) {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function alpha(value) {
  return value.replace("rgb(", "rgba(").replace(")", ", 0.1)");
}

function axis(value, splits) {
  const step = Math.abs(splits[1] - splits[0]) || 1;
  return number(value, step >= 1 ? 0 : Math.min(3, Math.ceil(-Math.log10(step))));
}

function tick(at, step) {
  const clock = clocks.format(at * 1000);
  return step >= 86400 || clock === "00:00" ? days.format(at * 1000) : clock;
}

/** Flows and levels stand on zero; counters and voltages show what moves. RSSI, SNR and data rate lie one below the other. */
function reach(low, high, unit, kind) {
  if (low === null || high === null) return [0, 1];
  if (unit === "DR") return [0, 24];
  if (unit === "dBm") return [low - 1.1 * (high - low || 10), high + 2];
  if (unit === "dB") return [low - 0.6 * (high - low || 5), high + 1.6 * (high - low || 5)];
  if (kind !== "line" || ["W", "A"].includes(unit)) {
    low = Math.min(0, low);
    high = Math.max(0, high);
  }
  const room = (high - low) * 0.08 || Math.abs(high) * 0.01 || 1;
  return [low === 0 ? 0 : low - room, high === 0 ? 0 : high + room];
}

for (const element of document.querySelectorAll("[data-chart]")) new Chart(element);
