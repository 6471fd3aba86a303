// A secret that is shown once: it leaves the page some seconds after it was opened, and when the page is left.
const secret = document.querySelector("[data-once]");

function forget() {
  if (!secret?.isConnected) return;
  secret.remove();
  document.querySelector("[data-gone]").hidden = false;
}

secret?.addEventListener("toggle", () => setTimeout(forget, 1000 * Number(secret.dataset.once)), { once: true });
addEventListener("pagehide", forget);
