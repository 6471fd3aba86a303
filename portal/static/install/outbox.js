// The outbox: what was scanned, in order, until the portal has it. An owner token stays only that long.
import * as store from "./store.js";

const KEPT_MS = 86_400_000;
const channel = window.BroadcastChannel ? new BroadcastChannel("meterspan-install") : null;
const listeners = new Set();

channel?.addEventListener("message", () => listeners.forEach((listener) => listener()));

/** Calls `listener` after every change, made here or in another tab; returns how to stop. */
export function changed(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell() {
  listeners.forEach((listener) => listener());
  channel?.postMessage("changed");
}

/** A key that the portal recognises a repetition by; also where a page without HTTPS has no randomUUID. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((octet) => octet.toString(16).padStart(2, "0")).join("");
}

/** Puts a finished scan into the outbox; resolves to its place. */
export async function add(draft, { user, organisation }) {
  const row = {
    key: newKey(),
    user: user.id,
    organisation: organisation.id,
    organisation_name: organisation.name,
    site: draft.site,
    adapter: draft.adapter,
    meter: draft.meter,
    input: draft.input ?? 0,
    note: draft.note ?? "",
    display_value: draft.display_value ?? "",
    display_unit: draft.display_unit ?? "kWh",
    scanned_at: new Date().toISOString(),
    photo: draft.photo ?? null,
    state: "pending",
    tries: 0,
    failure: null,
    pairing: null,
    synced_at: null,
  };
  const id = await store.append(row);
  // Ask that the browser does not clear this under pressure; whether it agrees is its business.
  navigator.storage?.persist?.().catch(() => {});
  tell();
  return id;
}

export const entries = store.entries;
export const entry = store.entry;

/** The portal is being asked. False when another tab took or discarded it. */
export async function begin(id) {
  const mine = await store.update(id, { state: "syncing" }, (row) => row.state === "pending" || row.state === "syncing");
  tell();
  return mine;
}

/** The portal has it: what proves a claim is forgotten. */
export async function done(row, pairing) {
  const adapter = { ...row.adapter, raw: "" };
  const meter = { ...row.meter, raw: "" };
  await store.update(row.id, { state: "synced", failure: null, pairing, adapter, meter, synced_at: Date.now() });
  tell();
}

/** It could not be asked; it stays in its place. */
export async function later(row) {
  await store.update(row.id, { state: "pending", tries: row.tries + 1 });
  tell();
}

/** The portal said no for good; a person decides. */
export async function refused(row, { code, message, field, choices, status }) {
  await store.update(row.id, { state: "failed", failure: { code, message, field, choices, status, at: Date.now() } });
  tell();
}

/** Send again, after a change; a new key, because the old one would be answered as before. */
export async function again(row, changes = {}) {
  await store.update(row.id, { ...changes, key: newKey(), state: "pending", tries: 0, failure: null });
  tell();
}

/** Forgets an entry for good. */
export async function discard(id) {
  await store.remove(id);
  tell();
}

/** The photo has arrived, or never will. */
export async function photoDone(id, photo_failure = "") {
  await store.update(id, { photo: null, photo_failure });
  tell();
}

/** Forgets what the portal has had for more than a day. */
export async function tidy(now = Date.now()) {
  for (const row of await store.entries()) {
    if (row.state === "synced" && !row.photo && now - row.synced_at > KEPT_MS) await store.remove(row.id);
  }
}
