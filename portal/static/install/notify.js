// The result of an installation finds the person: a line in the app, and the phone's notification when they asked for it.
import { word } from "../js/words.js";
import { spaced } from "./classify_meter.js";
import { announce, h } from "./dom.js";
import { watch } from "./results.js";
import { verdict } from "./verdict.js";

const SHOWN_MS = 9_000;

/** Tells each result once, unless its own screen is open. `here(pairing)`: whether it is. */
export function begin(here) {
  watch((id, before, now) => {
    if (!id || !before) return;
    const [was, is] = [verdict(before), verdict(now)];
    const worth = is.over || is.ask || is.form === "ok";
    if (!worth || (was.word === is.word && was.ask === is.ask)) return;
    const text = word("result", { meter: now.meter ? spaced(now.meter) : now.adapter.dev_eui, state: is.word });
    if (!here(id) || document.visibilityState === "hidden") show(is.form, text, `#/installation/p${id}`);
  });
}

/** Whether the phone's own notifications could be switched on here. */
export const canAsk = () => "Notification" in window && Notification.permission === "default" && "serviceWorker" in navigator;

/** Asks for them; only ever called by a tap. */
export const ask = () => Notification.requestPermission();

/** A line that can be tapped and goes by itself. */
export function toast(form, text, link) {
  const line = h(link ? "a" : "div", { class: `toast msg ${form}`, href: link }, text);
  document.getElementById("toasts").append(line);
  announce(text);
  line.addEventListener("click", () => line.remove());
  setTimeout(() => line.remove(), SHOWN_MS);
}

async function show(form, text, link) {
  toast(form, text, link);
  if (!("Notification" in window) || Notification.permission !== "granted" || document.visibilityState !== "hidden") return;
  const registration = await navigator.serviceWorker?.getRegistration("/install/");
  await registration?.showNotification("Meterspan", { body: text, tag: link, data: link, icon: document.documentElement.dataset.badge });
}
