// What stands around the slots of a map: channels, time, and the time that is closed to slots.
import { number } from "./format.js";
import { LEFT, TOP } from "./slotmap_view.js";

const STEPS_MS = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000, 120_000, 300_000];
const LEAST_TICK_PX = 74;
const HATCH_PX = 5;
const WIDE_HATCH_PX = 24;
const SIZE = "11px";

/** Time without slots, hatched through all channels; more widely where slots may come once they need it. */
export function closed(drawing) {
  hatched(drawing, drawing.boxes.data.open, WIDE_HATCH_PX);
  hatched(drawing, drawing.boxes.data.closed, HATCH_PX);
}

/** With its name where there is room. */
function hatched({ context, view, boxes, colours, font }, parts, apart) {
  const bottom = view.y(view.lanes);
  context.strokeStyle = colours.edge;
  context.lineWidth = 1;
  context.font = `${SIZE} ${font}`;
  for (const [name, phase, period, length] of parts) {
    for (let begin = phase; begin < boxes.frameMs; begin += period * 1000) {
      const x = Math.max(LEFT, view.x(begin));
      const end = Math.min(view.width, view.x(begin + length));
      if (end <= x) continue;
      context.save();
      context.beginPath();
      context.rect(x, TOP, Math.max(1, end - x), bottom - TOP);
      context.clip();
      context.beginPath();
      for (let at = x - (bottom - TOP); at < end; at += apart) {
        context.moveTo(at, bottom);
        context.lineTo(at + bottom - TOP, TOP);
      }
      context.stroke();
      context.restore();
      const wide = context.measureText(name).width;
      if (end - x < wide + 8) continue;
      context.fillStyle = colours.card;
      context.fillRect(x + 2, TOP + 2, wide + 4, 14);
      context.fillStyle = colours.dim;
      context.fillText(name, x + 4, TOP + 13);
    }
  }
}

/** Names of the channels, lines between them, and the time. */
export function frame({ context, view, boxes, colours, font }) {
  context.strokeStyle = colours.line;
  context.fillStyle = colours.dim;
  context.lineWidth = 1;
  context.font = `${SIZE} ${font}`;
  for (let lane = 0; lane <= view.lanes; lane++) {
    const y = Math.round(view.y(lane)) + 0.5;
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(view.width, y);
    context.stroke();
    if (lane < view.lanes) context.fillText(number(boxes.data.channels[lane], 1), 6, view.y(lane) + view.laneHeight / 2 + 4);
  }
  context.fillText("MHz", 6, 14);
  const step = STEPS_MS.find((ms) => (ms / view.span) * view.plotted >= LEAST_TICK_PX) ?? STEPS_MS.at(-1);
  for (let ms = Math.ceil(view.start / step) * step; ms <= view.start + view.span; ms += step) {
    const x = Math.round(view.x(ms)) + 0.5;
    const text = time(ms, step);
    if (x + context.measureText(text).width + 4 < view.width) context.fillText(text, x + 3, 14);
    context.beginPath();
    context.moveTo(x, 4);
    context.lineTo(x, TOP);
    context.stroke();
  }
}

/** Minutes and seconds in the frame, as fine as `step` (ms) needs. */
export function time(ms, step = 1) {
  const digits = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
  const seconds = number((ms % 60_000) / 1000, digits).padStart(digits ? 3 + digits : 2, "0");
  return `${Math.floor(ms / 60_000)}:${seconds}`;
}
