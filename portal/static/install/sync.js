// Empties the outbox into the portal: in order, one tab at a time, again and again until the portal has answered.
import * as outbox from "./outbox.js";
import { upload, send } from "./net.js";
import { expired, own, refresh } from "./session.js";

const BACK_OFF_MS = [5_000, 15_000, 30_000, 60_000, 120_000, 300_000];
const LOCK = "meterspan-outbox";
let timer;
let failures = 0;
let running = null;
let again = false; // whether another round was wished for during this one

/** Syncs on load, with network, when the page is looked at again, after a change, and by a timer with back-off. */
export function keepSyncing() {
  addEventListener("online", () => soon(0));
  addEventListener("pageshow", () => soon(0));
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && soon(0));
  soon(0);
}

/** Try again after `ms`; an earlier attempt replaces a later one. */
export function soon(ms) {
  clearTimeout(timer);
  timer = setTimeout(run, ms);
}

/** One round, unless another tab is at it; resolves when it is over. */
export function run() {
  clearTimeout(timer);
  if (running) again = true;
  running ??= locked(round).finally(() => {
    running = null;
    if (again) soon(0); // the network came back while an attempt was failing
    again = false;
  });
  return running;
}

async function locked(work) {
  // Without HTTPS there are no locks; then the idempotency key alone keeps two tabs from doing it twice.
  if (!navigator.locks) return work();
  return navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => (lock ? work() : soon(BACK_OFF_MS[0])));
}

async function round() {
  if ((await refresh()) === "in") {
    const wait = await drain();
    if (wait === 0) {
      failures = 0;
      return;
    }
    soon(Math.max(wait, backOff()));
  } else if (await waiting()) {
    soon(backOff());
  }
}

/** 0 when the outbox is empty, else how long the portal wants us to wait (at least 1). */
async function drain() {
  for (;;) {
    const row = (await outbox.entries()).find((entry) => own(entry) && ["pending", "syncing"].includes(entry.state));
    if (!row) break;
    if (!(await outbox.begin(row.id))) continue;
    try {
      await outbox.done(row, await send("/api/v1/pairings/", requestOf(row), { key: row.key }));
    } catch (refusal) {
      if (refusal.temporary) {
        await outbox.later(row);
        if (refusal.status === 401) expired();
        return Math.max(1, refusal.retryAfter);
      }
      await outbox.refused(row, { ...refusal.body, code: refusal.code, message: refusal.message, status: refusal.status });
    }
  }
  return photos();
}

/** Photos come last: the pairing must not wait for a megabyte. */
async function photos() {
  for (const row of await outbox.entries()) {
    if (row.state !== "synced" || !row.photo || !own(row)) continue;
    try {
      await upload(`/api/v1/pairings/${row.pairing.id}/photo/`, row.photo);
      await outbox.photoDone(row.id);
    } catch (refusal) {
      if (refusal.temporary) return Math.max(1, refusal.retryAfter);
      await outbox.photoDone(row.id, refusal.message);
    }
  }
  return 0;
}

function requestOf(row) {
  const body = { adapter_scan: row.adapter.raw, meter_scan: row.meter.raw, scanned_at: row.scanned_at };
  if (row.site) body.site = row.site.id;
  if (row.input) body.input = row.input;
  if (row.note) body.note = row.note;
  if (row.display_value) Object.assign(body, { display_value: row.display_value, display_unit: row.display_unit });
  return body;
}

async function waiting() {
  return (await outbox.entries()).some((row) => row.state === "pending" || row.state === "syncing" || row.photo);
}

function backOff() {
  const ms = BACK_OFF_MS[Math.min(failures++, BACK_OFF_MS.length - 1)];
  return ms * (0.8 + 0.4 * Math.random());
}
