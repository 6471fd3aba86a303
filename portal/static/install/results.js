// Today's installations: the portal's list and the outbox as one, watched until each has its result.
import { spaced } from "./classify_meter.js";
import * as outbox from "./outbox.js";
import { read, Refusal } from "./net.js";
import { follow, live } from "./following.js";
import { expired, own, session } from "./session.js";
import { verdict } from "./verdict.js";

const PACE_MS = [3_000, 3_000, 3_000, 5_000, 5_000, 10_000, 20_000];
const LIVE_PACE_MS = 15_000; // the stream tells what happens; this is for sentences such as "for 3 minutes"
const GATHER_MS = 250;
const MAX_WATCHED = 20;
const known = new Map(); // pairing id -> progress
const listeners = new Set();
let rows = [];
let mine = [];
let timer;
let turn = 0;
let busy = false;

/** Calls `listener(id, before, now)` when the progress of a pairing has changed, and without arguments for the list. */
export function watch(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const progressOf = (pairing) => known.get(pairing) ?? null;

/** Newest first: `{key, entry, pairing, progress, meter, adapter, note, at}`; entry or pairing may be null. */
export function installations() {
  const inBox = new Set(rows.map((row) => row.pairing?.id).filter(Boolean));
  const entries = rows.filter(own).map((row) => ({
    key: `e${row.id}`, entry: row, pairing: row.pairing?.id ?? null, progress: known.get(row.pairing?.id) ?? null,
    meter: row.meter.display, adapter: row.adapter.display, note: row.note, site: row.site?.name, at: Date.parse(row.scanned_at),
  }));
  const others = mine.filter((row) => !inBox.has(row.id)).map((row) => ({
    key: `p${row.id}`, entry: null, pairing: row.id, progress: known.get(row.id), meter: row.meter ? spaced(row.meter) : "",
    adapter: row.adapter.dev_eui.toUpperCase(), note: row.note, site: row.site.name, at: Date.parse(row.from_at),
  }));
  return [...entries, ...others].sort((a, b) => b.at - a.at);
}

/** What somebody else, or the same person for another organisation, has left on this phone. */
export const foreign = () => rows.filter((row) => !own(row) && row.state !== "synced");

/** How many of the person's scans the portal does not have yet. */
export const pending = () => rows.filter((row) => own(row) && ["pending", "syncing"].includes(row.state)).length;

/** Begins to watch; goes on as long as the page is open. */
export async function begin() {
  outbox.changed(reload);
  follow((changes) => {
    const keys = new Set([...known.values()].map((progress) => progress.adapter?.id));
    if (changes.some((change) => change.kind === "many" || keys.has(change.adapter))) soon(GATHER_MS);
  });
  addEventListener("online", () => soon(0));
  addEventListener("session", () => {
    tell();
    if (session.state === "in") soon(0);
  });
  document.addEventListener("visibilitychange", () => soon(0));
  await reload();
}

/** Ask again after `ms`. */
export function soon(ms) {
  clearTimeout(timer);
  timer = setTimeout(look, ms);
}

async function reload() {
  const before = rows.filter((row) => row.pairing).length;
  rows = await outbox.entries();
  tell();
  if (rows.filter((row) => row.pairing).length !== before) {
    turn = 0;
    soon(0);
  }
}

async function look() {
  if (busy || document.visibilityState === "hidden" || session.state !== "in") return soon(PACE_MS[0]);
  busy = true;
  let open = 0;
  let failed = false;
  try {
    const since = new Date(new Date().setHours(0, 0, 0, 0)).toISOString();
    mine = (await read(`/api/v1/pairings/mine/?since=${encodeURIComponent(since)}`)).results;
    for (const progress of mine) take(progress.id, progress);
    const listed = new Set(mine.map((progress) => progress.id));
    const older = rows.filter((row) => own(row) && row.pairing && !listed.has(row.pairing.id) && !over(row.pairing.id));
    for (const row of older.slice(0, MAX_WATCHED)) take(row.pairing.id, await read(`/api/v1/pairings/${row.pairing.id}/progress/`));
    open = mine.filter((progress) => !over(progress.id)).length + older.length;
    tell();
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    if (refusal.status === 401) expired();
    failed = true;
  } finally {
    busy = false;
  }
  if (failed || open) soon(live() && !failed ? LIVE_PACE_MS : PACE_MS[Math.min(turn++, PACE_MS.length - 1)]);
  return undefined;
}

/** Takes over what the portal said of one pairing. */
export function take(id, progress) {
  const before = known.get(id);
  known.set(id, progress);
  if (JSON.stringify(before) !== JSON.stringify(progress)) tell(id, before, progress);
}

function tell(...about) {
  listeners.forEach((listener) => listener(...about));
}

const over = (id) => known.has(id) && verdict(known.get(id)).over;
