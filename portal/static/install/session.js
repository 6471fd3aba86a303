// Who works here: asked whenever there is network, remembered for the time without.
import * as store from "./store.js";
import { read, tokenFrom, useToken } from "./net.js";

/** `state`: "unknown" (not asked yet), "in", "out" (sign in again), "forbidden", "offline". */
export const session = { state: "unknown", known: null };
const SEARCH_MS = 5_000;

/** Takes over what was remembered, so that the page can start without network. */
export async function remembered() {
  session.known = (await store.value("session")) ?? null;
  return session.known;
}

/** Asks the portal; resolves to the state. */
export async function refresh() {
  try {
    const { csrf, ...known } = await read("/install/session/");
    useToken(csrf);
    session.known = known;
    session.state = "in";
    await store.keep("session", known);
  } catch (refusal) {
    session.state = refusal.status === 401 ? "out" : refusal.status === 403 ? "forbidden" : "offline";
  }
  dispatchEvent(new Event("session"));
  return session.state;
}

/** The portal no longer knows who asks. */
export function expired() {
  session.state = "out";
  dispatchEvent(new Event("session"));
}

tokenFrom(refresh);

export const may = (action) => session.known?.permissions.includes(action) ?? false;

/** Whether an entry was made by the person, and for the organisation, that works here now. */
export function own(entry) {
  const known = session.known;
  return !known || (entry.user === known.user.id && entry.organisation === known.organisation.id);
}

/** Sites whose name or address contains the text; asks the portal when the phone does not carry all of them. */
export async function findSites(text) {
  const known = session.known?.sites ?? [];
  const wanted = text.trim().toLowerCase();
  const here = known.filter((site) => `${site.name} ${site.address}`.toLowerCase().includes(wanted));
  if (here.length || !wanted || !session.known?.more_sites) return here;
  try {
    return (await read(`/install/sites/?q=${encodeURIComponent(text.trim())}`, { timeout: SEARCH_MS })).sites;
  } catch {
    return [];
  }
}
