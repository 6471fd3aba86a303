// Makes the page ready for the cellar: the service worker, the decoder for later, and the change to a new version.
const IDLE_MS = 4_000;
let waiting = null;

/** Registers the worker; `fresh()` is called when a new version waits, `go` when a notification was tapped. */
export async function keepReady({ go, fresh }) {
  if (!("serviceWorker" in navigator)) return;
  const container = navigator.serviceWorker;
  let first = !container.controller; // taking over a page that had none changes nothing
  container.addEventListener("message", (event) => event.data?.go && go(event.data.go));
  container.addEventListener("controllerchange", () => {
    if (!first) location.reload();
    first = false;
  });
  let registration;
  try {
    registration = await container.register("/install/sw.js", { scope: "/install/" });
  } catch {
    return; // without it everything works but the start without network
  }
  const offer = () => {
    if (!registration.waiting || !container.controller) return;
    waiting = registration.waiting;
    fresh();
  };
  offer();
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", offer);
  });
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && registration.update().catch(() => {}));
  const active = (await container.ready).active;
  if (!navigator.connection?.saveData) (window.requestIdleCallback ?? setTimeout)(() => active.postMessage({ do: "decoder" }), { timeout: IDLE_MS });
}

/** Changes to the version that waits; the page loads anew. */
export function apply() {
  waiting?.postMessage({ do: "activate" });
}

/** Keeps the page anew, in another language; resolves when it is done. */
export async function renewShell() {
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return;
  const { port1, port2 } = new MessageChannel();
  const done = new Promise((resolve) => (port1.onmessage = resolve));
  worker.postMessage({ do: "shell" }, [port2]);
  await done;
}
