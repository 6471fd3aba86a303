// The columns of a slot map as boxes in the frame of 900 s: sorted by channel and time, found by where they lie.
const MAX_BOXES = 2 ** 20; // more than the air of a frame has room for

/** Slots of `data` (portal/web/slots_map.py) as drawn boxes; longer periods that take turns in one place are one box. */
export class Boxes {
  constructor(data) {
    this.data = data;
    this.frameMs = data.frame * 1000;
    this.lanes = data.channels.length;
    this.slots = data.slots.length / 5;
    this.euiLength = 16 - data.prefix.length;
    const found = this.collect();
    this.count = found.length / 5;
    this.sort(found);
  }

  /** Flat [lane, begin, kind, slot, members] for each box; `turns` keeps who shares a place. */
  collect() {
    const { slots, kinds, own } = this.data;
    const found = [];
    this.turns = new Map(); // first slot of a shared place -> all of them
    const places = new Map();
    for (let slot = 0, i = 0; slot < this.slots; slot++, i += 5) {
      const period = kinds[slots[i + 3]][0] * 1000;
      if (period > this.frameMs) {
        const begin = slots[i + 2] % this.frameMs;
        const key = `${slot < own}${slots[i + 1]}:${begin}:${kinds[slots[i + 3]][3]}:${period}`;
        const first = places.get(key);
        if (first !== undefined) {
          this.turns.get(first).push(slot);
          continue;
        }
        places.set(key, slot);
        this.turns.set(slot, [slot]);
        found.push(slots[i + 1], begin, slots[i + 3], slot, 0);
        continue;
      }
      for (let begin = slots[i + 2]; begin < this.frameMs; begin += period) found.push(slots[i + 1], begin, slots[i + 3], slot, 0);
    }
    return found;
  }

  sort(found) {
    const keys = new Float64Array(this.count);
    for (let k = 0; k < this.count; k++) keys[k] = (found[5 * k] * this.frameMs + found[5 * k + 1]) * MAX_BOXES + k;
    keys.sort();
    this.begin = new Int32Array(this.count);
    this.length = new Int32Array(this.count);
    this.guard = new Int32Array(this.count);
    this.slot = new Int32Array(this.count);
    this.state = new Uint8Array(this.count);
    this.full = new Float32Array(this.count); // how much of its turns a shared place gives; 1 for others
    this.starts = new Int32Array(this.lanes + 1); // where each lane's boxes begin
    this.longest = 0;
    for (let n = 0; n < this.count; n++) {
      const k = keys[n] % MAX_BOXES;
      const kind = this.data.kinds[found[5 * k + 2]];
      const slot = found[5 * k + 3];
      this.begin[n] = found[5 * k + 1];
      [, , this.guard[n], this.length[n]] = kind;
      this.slot[n] = slot;
      const members = this.turns.get(slot);
      this.state[n] = members ? Math.min(...members.map((one) => this.data.slots[5 * one + 4])) : this.data.slots[5 * slot + 4];
      this.full[n] = members ? (members.length * this.frameMs) / (kind[0] * 1000) : 1;
      this.longest = Math.max(this.longest, this.length[n]);
      this.starts[found[5 * k] + 1]++;
    }
    for (let lane = 0; lane < this.lanes; lane++) this.starts[lane + 1] += this.starts[lane];
  }

  /** The numbers [from, to) of a lane's boxes that may meet the time from `start` to `end` (ms in the frame). */
  within(lane, start, end) {
    return [this.first(lane, start - this.longest), this.first(lane, end)];
  }

  /** The first box of a lane that begins at `ms` or later. */
  first(lane, ms) {
    let low = this.starts[lane];
    let high = this.starts[lane + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.begin[middle] < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The box of a lane nearest to `ms` within `reach` ms, own ones (or heard ones) only; -1: none. */
  near(lane, ms, reach, heard) {
    const [from, to] = this.within(lane, ms - reach, ms + reach);
    let best = -1;
    let away = reach;
    for (let n = from; n < to; n++) {
      if (this.heard(n) !== heard) continue;
      const gap = Math.max(this.begin[n] - ms, ms - this.begin[n] - this.length[n], 0);
      if (gap < away || (gap === 0 && best < 0)) [best, away] = [n, gap];
    }
    return best;
  }

  /** Whether this concentrator only hears it. */
  heard(n) {
    return this.slot[n] >= this.data.own;
  }

  lane(n) {
    let lane = 0;
    while (this.starts[lane + 1] <= n) lane++;
    return lane;
  }

  /** Boxes of an adapter. */
  of(adapter) {
    const slots = new Set();
    for (let slot = 0; slot < this.slots; slot++) if (this.data.slots[5 * slot] === adapter) slots.add(slot);
    for (const [first, members] of this.turns) if (members.some((slot) => slots.has(slot))) slots.add(first);
    const found = [];
    for (let n = 0; n < this.count; n++) if (slots.has(this.slot[n])) found.push(n);
    return found;
  }

  /** Slots that a box stands for: one, or those that take turns in it. */
  members(n) {
    return this.turns.get(this.slot[n]) ?? [this.slot[n]];
  }

  /** What is known of a slot: adapter (0: not told), DevEUI, kind and state. */
  told(slot) {
    const [adapter, channel, phase, kind, state] = this.data.slots.slice(5 * slot, 5 * slot + 5);
    const rest = this.data.euis.slice(slot * this.euiLength, (slot + 1) * this.euiLength);
    const [period, rate, guard, length] = this.data.kinds[kind];
    const [form, word] = this.data.states[state];
    return { adapter, eui: adapter ? (this.data.prefix + rest).toUpperCase() : "", channel, phase, period, rate, guard, length, form, word };
  }
}
