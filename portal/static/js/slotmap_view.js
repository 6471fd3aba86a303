// Which part of the frame is seen, and where it lies on the canvas.
export const LEFT = 58; // px for the channels' names
export const TOP = 22; // px for the time
const BOTTOM = 6;
const NEAREST_MS = 40; // more cannot be told from each other

export class View {
  constructor(frameMs, lanes) {
    [this.frameMs, this.lanes] = [frameMs, lanes];
    [this.start, this.span] = [0, frameMs];
    [this.width, this.height] = [0, 0];
  }

  get plotted() {
    return Math.max(1, this.width - LEFT);
  }

  get laneHeight() {
    return (this.height - TOP - BOTTOM) / this.lanes;
  }

  get all() {
    return this.span >= this.frameMs;
  }

  x(ms) {
    return LEFT + ((ms - this.start) / this.span) * this.plotted;
  }

  y(lane) {
    return TOP + lane * this.laneHeight;
  }

  ms(x) {
    return this.start + ((x - LEFT) / this.plotted) * this.span;
  }

  lane(y) {
    return Math.floor((y - TOP) / this.laneHeight);
  }

  /** Closer (factor under 1) or further away, keeping the moment at `x` where it is. */
  zoom(factor, x = LEFT + this.plotted / 2) {
    const held = this.ms(x);
    this.span = Math.min(this.frameMs, Math.max(NEAREST_MS, this.span * factor));
    this.move(held - this.ms(x));
  }

  /** By `ms`, within the frame. */
  move(ms) {
    this.start = Math.min(this.frameMs - this.span, Math.max(0, this.start + ms));
  }

  /** So that `ms` lies in the middle of `span`. */
  show(ms, span = this.span) {
    this.span = Math.min(this.frameMs, Math.max(NEAREST_MS, span));
    this.start = ms - this.span / 2;
    this.move(0);
  }

  whole() {
    [this.start, this.span] = [0, this.frameMs];
  }
}
