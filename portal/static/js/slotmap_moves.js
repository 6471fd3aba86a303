// Moves on a slot map: wheel, drag, pinch, buttons and keys.
import { LEFT } from "./slotmap_view.js";

const STEP = 0.25; // of what is seen
const CLOSER = 0.5;
const WHEEL = 0.0015;
const CLICK_PX = 5;

export class Gestures {
  constructor(map) {
    this.map = map;
    this.fingers = new Map();
    const { field } = map;
    field.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    field.addEventListener("pointerdown", (event) => this.down(event));
    field.addEventListener("pointermove", (event) => this.moved(event));
    for (const name of ["pointerup", "pointercancel"]) field.addEventListener(name, (event) => this.up(event, name === "pointerup"));
    field.addEventListener("pointerleave", () => this.map.point(-1));
    field.addEventListener("keydown", (event) => this.key(event));
    map.element.addEventListener("click", (event) => {
      const button = event.target.closest("[data-move]");
      if (button) this.move(button.dataset.move);
    });
  }

  get view() {
    return this.map.view;
  }

  place(event) {
    const box = this.map.field.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** Over a map that nobody has touched the wheel scrolls the page as everywhere, unless Ctrl is held. */
  wheel(event) {
    if (this.view.all && !event.ctrlKey && document.activeElement !== this.map.field) return;
    event.preventDefault();
    const [x] = this.place(event);
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.view.move((event.deltaX / this.view.plotted) * this.view.span);
    else this.view.zoom(Math.exp(event.deltaY * WHEEL * (event.deltaMode ? 20 : 1)), Math.max(LEFT, x));
    this.map.point(-1);
  }

  down(event) {
    this.fingers.set(event.pointerId, this.place(event));
    this.from = this.place(event);
    this.travelled = 0;
    this.map.field.setPointerCapture(event.pointerId);
  }

  moved(event) {
    const [x, y] = this.place(event);
    const before = this.fingers.get(event.pointerId);
    if (!before) return this.map.point(this.map.at(x, y), x, y);
    const others = [...this.fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    this.fingers.set(event.pointerId, [x, y]);
    this.travelled += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    if (others.length) {
      const [was, is] = [Math.abs(before[0] - others[0][0]), Math.abs(x - others[0][0])];
      if (was > 8 && is > 8) this.view.zoom(was / is, (x + others[0][0]) / 2);
    } else {
      this.view.move(((before[0] - x) / this.view.plotted) * this.view.span);
      this.map.field.classList.toggle("moving", this.travelled > CLICK_PX);
    }
    return this.map.point(-1);
  }

  up(event, done) {
    const known = this.fingers.delete(event.pointerId);
    this.map.field.classList.remove("moving");
    if (known && done && !this.fingers.size && this.travelled <= CLICK_PX) this.map.open(this.map.at(...this.from));
  }

  move(where) {
    const { view } = this;
    if (where === "in") view.zoom(CLOSER);
    if (where === "out") view.zoom(1 / CLOSER);
    if (where === "all") view.whole();
    if (where === "left" || where === "right") view.move((where === "left" ? -STEP : STEP) * view.span);
    this.map.point(-1);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", 0: "all" };
    const steps = { PageDown: 1, PageUp: -1, ArrowDown: "down", ArrowUp: "up" };
    if (moves[event.key]) this.move(moves[event.key]);
    else if (event.key === "Home") this.edge(0);
    else if (event.key === "End") this.edge(this.view.frameMs);
    else if (event.key === "Enter" || event.key === " ") this.map.open(this.here ?? -1);
    else if (event.key === "Escape") this.map.point((this.here = undefined) ?? -1);
    else if (steps[event.key]) this.step(steps[event.key]);
    else return;
    event.preventDefault();
  }

  edge(ms) {
    this.view.show(ms);
    this.map.point(-1);
  }

  /** To the next or last slot of the channel, or to the one above or below at the same time. */
  step(how) {
    const { boxes, view } = this.map;
    if (!boxes.count) return;
    const middle = view.start + view.span / 2;
    let next;
    if (this.here === undefined) next = Math.min(boxes.first(0, middle), boxes.count - 1);
    else if (typeof how === "number") next = Math.min(boxes.count - 1, Math.max(0, this.here + how));
    else {
      const lane = boxes.lane(this.here) + (how === "down" ? 1 : -1);
      if (lane < 0 || lane >= boxes.lanes || boxes.starts[lane] === boxes.starts[lane + 1]) return;
      next = Math.min(boxes.first(lane, boxes.begin[this.here]), boxes.starts[lane + 1] - 1);
    }
    this.here = next;
    if (boxes.begin[next] < view.start || boxes.begin[next] + boxes.length[next] > view.start + view.span) view.show(boxes.begin[next]);
    this.map.point(next, view.x(boxes.begin[next]), view.y(boxes.lane(next)) + view.laneHeight / 2);
    this.map.say(next);
  }
}
