// One installation: what waits on this phone, then the live list until the first reading has been compared.
import { word } from "../../js/words.js";
import { button, confirmed, h, message, state } from "../dom.js";
import { correct, next, restart } from "../flow.js";
import { read } from "../net.js";
import { ask as askForNotifications, canAsk } from "../notify.js";
import * as outbox from "../outbox.js";
import { progressOf, soon, take, watch } from "../results.js";
import { session } from "../session.js";
import { run } from "../sync.js";
import { verdict } from "../verdict.js";
import { findings } from "./findings.js";
import { stations } from "./stations.js";

export const installation = (kind, number) => async ({ go, here }) => {
  const body = h("div", { class: "stack" });
  const actions = h("div", { class: "bar-btns" });
  const context = { go, again: () => draw() };
  let entry = kind === "e" ? await outbox.entry(number) : null;
  const pairing = () => (kind === "p" ? number : entry?.pairing?.id ?? null);
  if (pairing() && !progressOf(pairing())) await fetched(pairing());

  async function draw() {
    if (kind === "e") entry = await outbox.entry(number);
    const progress = pairing() && progressOf(pairing());
    here(pairing());
    // Who has the keyboard or a screen reader on a button keeps it: only what changed is put in anew.
    renew(body, progress ? found(progress, entry, context) : waiting(entry, context));
    renew(actions, buttons(progress, entry, context));
  }

  await draw();
  const stop = watch(draw);
  soon(0);
  return { title: word("installation title"), context: entry?.site?.name ?? progressOf(pairing())?.site.name, body, actions: [actions], leave: stop, back: "#/" };
};

async function fetched(id) {
  try {
    take(id, await read(`/api/v1/pairings/${id}/progress/`));
  } catch {
    // Without network: what is known of it is drawn instead.
  }
}

function renew(place, parts) {
  const wanted = parts.filter(Boolean);
  const old = [...place.children];
  wanted.forEach((part, i) => {
    if (old[i]?.outerHTML === part.outerHTML) return;
    if (old[i]) old[i].replaceWith(part);
    else place.append(part);
  });
  old.slice(wanted.length).forEach((part) => part.remove());
}

function found(progress, entry, context) {
  return [
    h("div", { class: "head-line" }, h("b", { class: "id" }, entry?.meter.display ?? progress.meter ?? ""), state(verdict(progress).form, verdict(progress).word)),
    findings(progress, context),
    stations(progress),
    entry?.photo && h("p", { class: "dim small" }, word("photo waits")),
    entry?.photo_failure && message("warn", h("p", {}, word("photo refused", { why: entry.photo_failure }))),
    places(progress),
  ];
}

function places({ adapter, metering_point, site, note, slot }) {
  const row = (name, text) => text && [h("dt", {}, name), h("dd", {}, text)];
  return h("dl", { class: "kv card" }, row(word("site"), site.name), row(word("metering point"), metering_point.name), row(word("note"), note),
    row(word("slot"), slot && word(`slot.${slot}`)),
    row(word("adapter"), h("span", { class: "id" }, adapter.dev_eui.toUpperCase())));
}

function waiting(entry, context) {
  if (!entry) return [message("warn", h("p", {}, word("gone")))];
  const line = h("div", { class: "head-line" }, h("b", { class: "id" }, entry.meter.display), state(...STATES[entry.state]()));
  const about = { pending: pendingPart, syncing: () => h("p", {}, word("syncing text")), synced: () => h("p", {}, word("synced text")), failed: failedPart }[entry.state];
  const adapter = h("p", { class: "dim small" }, word("adapter"), " ", h("span", { class: "id" }, entry.adapter.display));
  return [line, h("div", { class: "card stack-s" }, about(entry, context)), adapter];
}

const STATES = {
  pending: () => ["warn", word("state.pending")], syncing: () => ["idle", word("state.syncing")],
  synced: () => ["ok", word("state.synced")], failed: () => ["bad", word("state.failed")],
};

function pendingPart() {
  const out = session.state === "out";
  return [
    h("h2", {}, word(out ? "pending signed out" : "pending title")),
    h("p", {}, word(out ? "signed out text" : "pending text")),
    h("p", { class: "dim" }, word("may leave")),
  ];
}

function failedPart({ failure }) {
  const names = (failure.choices ?? []).map((site) => site.name).join(", ");
  return [
    h("h2", {}, word("failed title")),
    h("p", {}, failure.message || word("failed unknown")),
    names && h("p", { class: "dim" }, names),
    h("p", { class: "dim" }, word(failure.code === "blocked" ? "failed blocked" : "failed text")),
  ];
}

function buttons(progress, entry, { go, again }) {
  if (entry?.state === "failed") {
    const discard = async () => {
      if (!(await confirmed(word("discard ask", { meter: entry.meter.display }), word("discard")))) return;
      await outbox.discard(entry.id);
      go("#/", true);
    };
    const resend = async () => {
      await outbox.again(entry);
      run();
    };
    const edit = button(word("correct"), async () => go(await correct(entry)), { kind: "main wide" });
    return [edit, h("div", { class: "equals" }, button(word("send again"), resend), button(word("discard"), discard, { kind: "danger" }))];
  }
  const onwards = button(word("next meter"), async () => {
    await restart();
    go(next());
  }, { kind: "main wide", symbol: "scan" });
  const tell = canAsk() && (!progress || !verdict(progress).over) && button(word("tell me"), async () => {
    await askForNotifications();
    again();
  });
  const nowButton = entry?.state === "pending" && session.state !== "out" && button(word("try now"), run);
  return [onwards, (tell || nowButton) && h("div", { class: "equals" }, nowButton, tell)];
}
