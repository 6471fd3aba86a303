// The installation in hand: what was scanned so far. It survives a closed page, and is forgotten once it is sent.
import * as outbox from "./outbox.js";
import { session } from "./session.js";
import * as store from "./store.js";
import { soon } from "./sync.js";

export const flow = { draft: {} };

/** Takes up what was begun, and where the person worked last; what somebody does meanwhile goes before it. */
export async function takeUp() {
  const before = flow.draft;
  let draft = (await store.value("draft")) ?? {};
  if (draft.user !== session.known?.user.id) draft = {};
  if (!draft.site) draft.site = await lastSite();
  if (flow.draft === before) flow.draft = draft;
}

/** Adds to the draft. */
export async function note(changes) {
  flow.draft = { ...flow.draft, ...changes, user: session.known?.user.id };
  await store.keep("draft", flow.draft);
}

/** The next installation at the same site. */
export async function restart() {
  flow.draft = { site: flow.draft.site ?? (await lastSite()) };
  await store.keep("draft", undefined);
}

/** Works at this site from now on. */
export async function workAt(site) {
  await store.keep("site", site);
  await note({ site });
}

/** Where the draft goes on: the first screen whose answer is missing. */
export function next() {
  const { site, adapter, meter } = flow.draft;
  if (!site) return "#/site";
  if (!adapter) return "#/adapter";
  return meter ? "#/details" : "#/meter";
}

/** Whether something was scanned that is not sent yet. */
export const begun = () => Boolean(flow.draft.adapter || flow.draft.meter);

/** Into the outbox; resolves to its place there. */
export async function finish() {
  const { editing, user, ...draft } = flow.draft;
  const row = editing && (await outbox.entry(editing));
  let id = editing;
  if (row) await outbox.again(row, draft);
  else id = await outbox.add(draft, session.known);
  await restart();
  soon(0);
  return id;
}

/** Corrects a refused entry, beginning with what was wrong about it. */
export async function correct(row) {
  const { code, field } = row.failure;
  const { site, adapter, meter, input, note: words, display_value, display_unit, photo } = row;
  const draft = { user: row.user, editing: row.id, site, adapter, meter, input, note: words, display_value, display_unit, photo };
  if (code === "site_needed" || field === "site") draft.site = null;
  else if (field === "meter_scan" || code === "meter_paired") draft.meter = null;
  else if (field === "adapter_scan" || ["unknown_adapter", "wrong_token", "token_needed", "already_paired"].includes(code)) draft.adapter = null;
  flow.draft = draft;
  await store.keep("draft", draft);
  return next();
}

/** The remembered site, when the person may still work there; the only one when there is no choice. */
async function lastSite() {
  const sites = session.known?.sites ?? [];
  const last = await store.value("site");
  const known = sites.find((site) => site.id === last?.id);
  if (known) return known;
  if (last && session.known?.more_sites) return last;
  return sites.length === 1 ? sites[0] : null;
}
