// For the portal's own pages: logging out there wipes what the installer's app keeps in this browser.
import * as store from "./store.js";

for (const form of document.querySelectorAll("form[data-wipes]")) {
  form.addEventListener("submit", async (event) => {
    if (form.dataset.wiped) return;
    event.preventDefault();
    event.stopPropagation();
    const waiting = await store.entries().then((rows) => rows.filter((row) => row.state !== "synced").length, () => 0);
    if (waiting && !confirm(form.dataset.wipes.replace("{n}", waiting))) return;
    await store.wipe().catch(() => {});
    form.dataset.wiped = "yes";
    form.requestSubmit();
  }, { capture: true });
}
