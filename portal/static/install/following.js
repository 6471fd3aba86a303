// The portal's live stream, shared by all that wait for something; without it they ask by themselves.
const RETRY_MS = [1_000, 3_000, 10_000, 30_000];
const address = document.documentElement.dataset.stream;
const listeners = new Set();
let source = null;
let failures = 0;
let timer;
let heard = false;

/** Whether changes are told by the stream at the moment. */
export const live = () => heard;

/** Calls `listener(changes)` for each bundle of changes; returns how to stop. The last one to leave closes the stream. */
export function follow(listener) {
  listeners.add(listener);
  if (!source) open();
  return () => {
    listeners.delete(listener);
    if (!listeners.size) close();
  };
}

function open() {
  clearTimeout(timer);
  if (!window.EventSource || !navigator.onLine || document.visibilityState === "hidden") return;
  source = new EventSource(address);
  source.addEventListener("hello", () => {
    failures = 0;
    heard = true;
    tell([{ kind: "many" }]);
  });
  source.addEventListener("changes", (event) => tell(JSON.parse(event.data)));
  source.addEventListener("paused", () => (heard = false));
  source.addEventListener("bye", reopen);
  source.onerror = () => {
    close();
    timer = setTimeout(open, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
  };
}

function close() {
  clearTimeout(timer);
  source?.close();
  source = null;
  heard = false;
}

function reopen() {
  close();
  if (listeners.size) open();
}

function tell(changes) {
  listeners.forEach((listener) => listener(changes));
}

addEventListener("online", reopen);
addEventListener("offline", close);
addEventListener("pagehide", close);
// A phone in the pocket needs no stream; it would cost battery.
document.addEventListener("visibilitychange", reopen);
