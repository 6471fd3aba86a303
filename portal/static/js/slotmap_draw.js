// Draws a slot map: box by box where they can be told apart, else how much of each stretch of time is used.
import { closed, frame } from "./slotmap_frame.js";
import { LEFT } from "./slotmap_view.js";

const APART_PX = 1.5; // boxes narrower than this on average are told as a share
const MARK_PX = 7;
const HEARD = 0.2; // of a lane, at its foot: what is heard from neighbours
const TOKENS = { ink: "--ink", dim: "--ink-2", line: "--line", edge: "--line-2", ok: "--brand", warn: "--warn", bad: "--bad", idle: "--idle", turns: "--series-3", heard: "--ink-3", card: "--card" };

/** The colours of the present theme. */
export function colours() {
  const probe = document.createElement("span");
  document.body.append(probe);
  const found = Object.fromEntries(Object.entries(TOKENS).map(([name, token]) => {
    probe.style.color = `var(${token})`;
    return [name, getComputedStyle(probe).color];
  }));
  probe.remove();
  return found;
}

export class Drawing {
  constructor(context, boxes, view) {
    [this.context, this.boxes, this.view] = [context, boxes, view];
    this.colours = colours();
    this.font = getComputedStyle(document.body).fontFamily;
  }

  /** Everything; `chosen` and `pointed` are sets of boxes to be seen at once. */
  draw(chosen, pointed) {
    const { context, view, boxes } = this;
    context.clearRect(0, 0, view.width, view.height);
    closed(this);
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, view.plotted, view.height);
    context.clip();
    for (let lane = 0; lane < view.lanes; lane++) this.lane(lane, ...boxes.within(lane, view.start, view.start + view.span));
    for (const n of [...chosen, ...pointed]) this.outline(n, chosen.has(n));
    context.restore();
    frame(this);
  }

  lane(lane, from, to) {
    if (to - from > this.view.plotted / APART_PX) this.shares(lane, from, to);
    else this.each(lane, from, to);
  }

  /** Single boxes: the telegram solid, its guards paler; what waits only as its edge. */
  each(lane, from, to) {
    const { boxes, view, colours: paint } = this;
    const top = view.y(lane) + 2;
    const main = view.laneHeight * (1 - HEARD) - 3;
    const groups = new Map();
    const add = (style, x, y, w, h) => {
      if (!groups.has(style)) groups.set(style, []);
      groups.get(style).push(x, y, Math.max(w, 0.75), h);
    };
    const marks = [];
    for (let n = from; n < to; n++) {
      const x = view.x(boxes.begin[n]);
      const width = view.x(boxes.begin[n] + boxes.length[n]) - x;
      const form = boxes.data.states[boxes.state[n]][0];
      if (form === "warn" || form === "bad") marks.push([form, x + width / 2, boxes.heard(n)]);
      if (boxes.heard(n)) {
        add(`1 ${form === "bad" ? paint.bad : paint.heard}`, x, top + main + 1, width, view.laneHeight * HEARD - 2);
        continue;
      }
      const colour = form === "ok" && boxes.full[n] < 1 ? paint.turns : paint[form];
      const height = main * Math.min(1, boxes.full[n]);
      if (form === "idle") add(`0 ${paint.idle}`, x + 0.5, top + main - height + 0.5, width - 1, height - 1);
      else {
        const guard = (width * boxes.guard[n]) / boxes.length[n];
        add(`0.35 ${colour}`, x, top + main - height, width, height);
        add(`1 ${colour}`, x + guard, top + main - height, width - 2 * guard, height);
      }
      if (boxes.full[n] < 1) add(`0 ${paint.turns}`, x + 0.5, top + 0.5, width - 1, main - 1);
    }
    for (const [style, rectangles] of groups) this.fill(style, rectangles);
    this.marks(lane, marks);
  }

  /** One column of pixels at a time: how much of it is used, and the worst that is in it. */
  shares(lane, from, to) {
    const { boxes, view, colours: paint } = this;
    const columns = Math.ceil(view.plotted);
    const used = new Float32Array(columns + 1);
    const heard = new Uint8Array(columns + 1);
    const worst = new Map();
    const perMs = view.plotted / view.span;
    for (let n = from; n < to; n++) {
      const begin = Math.max(0, (boxes.begin[n] - view.start) * perMs);
      const end = Math.min(columns, begin + boxes.length[n] * perMs);
      const form = boxes.data.states[boxes.state[n]][0];
      if (form === "bad" || (form === "warn" && !worst.has(begin | 0))) worst.set(begin | 0, [form, LEFT + begin, boxes.heard(n)]);
      for (let column = begin | 0; column < end; column++) {
        if (boxes.heard(n)) heard[column] = 1;
        else used[column] += (Math.min(end, column + 1) - Math.max(begin, column)) * boxes.full[n];
      }
    }
    const top = view.y(lane) + 2;
    const main = view.laneHeight * (1 - HEARD) - 3;
    const [own, others] = [[], []];
    for (let column = 0; column < columns; column++) {
      const height = main * Math.min(1, used[column]);
      if (height) own.push(LEFT + column, top + main - height, 1, height);
      if (heard[column]) others.push(LEFT + column, top + main + 1, 1, view.laneHeight * HEARD - 2);
    }
    this.fill(`0.75 ${paint.ok}`, own);
    this.fill(`1 ${paint.heard}`, others);
    this.marks(lane, [...worst.values()]);
  }

  /** Rectangles [x, y, w, h, ...] in "alpha colour"; alpha 0: only their edges. */
  fill(style, rectangles) {
    const { context } = this;
    const [alpha, colour] = [Number(style.slice(0, style.indexOf(" "))), style.slice(style.indexOf(" ") + 1)];
    context.globalAlpha = alpha || 1;
    context.fillStyle = context.strokeStyle = colour;
    context.lineWidth = 1;
    // One by one: a path of thousands of rectangles is far slower to fill.
    for (let i = 0; i < rectangles.length; i += 4) {
      if (alpha) context.fillRect(rectangles[i], rectangles[i + 1], rectangles[i + 2], rectangles[i + 3]);
      else context.strokeRect(rectangles[i], rectangles[i + 1], rectangles[i + 2], rectangles[i + 3]);
    }
    context.globalAlpha = 1;
  }

  /** A triangle for attention, a diamond for what is wrong: colour is never alone. */
  marks(lane, found) {
    const { context, view, colours: paint } = this;
    for (const wanted of ["warn", "bad"]) {
      let last = -Infinity;
      context.beginPath();
      for (const [form, x, heard] of found) {
        if (form !== wanted || x - last < MARK_PX) continue;
        last = x;
        const y = view.y(lane) + (heard ? view.laneHeight * (1 - HEARD) - 3 : 1);
        context.moveTo(x, y);
        context.lineTo(x + 4, wanted === "bad" ? y + 4 : y + 7);
        if (wanted === "bad") context.lineTo(x, y + 8);
        context.lineTo(x - 4, wanted === "bad" ? y + 4 : y + 7);
        context.closePath();
      }
      context.fillStyle = paint[wanted];
      context.strokeStyle = paint.card;
      context.lineWidth = 1;
      context.fill();
      context.stroke();
    }
  }

  outline(n, chosen) {
    const { context, view, boxes, colours: paint } = this;
    const x = view.x(boxes.begin[n]);
    const width = Math.max(3, view.x(boxes.begin[n] + boxes.length[n]) - x);
    const lane = boxes.lane(n);
    context.strokeStyle = paint.ink;
    context.lineWidth = chosen ? 2.5 : 1.5;
    context.strokeRect(x - 1.5, view.y(lane) + 0.5, width + 3, view.laneHeight - 1);
  }
}
