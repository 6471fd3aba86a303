{% comment %}The service worker of /install/: the page with everything it needs by version, the decoder apart. Answers of the API never get in here.{% endcomment %}"use strict";
const { version, decoder_version, shell, files, decoder } = {{ lists|safe }};
const APP = `install-${version}`;
const DECODER = `install-decoder-${decoder_version}`;
const kept = new Set(files.map(absolute));
const heavy = new Set(decoder.map(absolute));

function absolute(path) {
  return new URL(path, location.origin).href;
}

// Past the browser's own cache, or a new version might take over an old file.
const fresh = (path) => new Request(path, { cache: "reload", credentials: "same-origin" });

/** The page as the server has it for this person's language; nothing when it is another version's or a login. */
async function fetchShell() {
  const answer = await fetch(fresh(shell));
  if (!answer.ok || answer.redirected) throw new Error(`the page answered ${answer.status}`);
  if (answer.headers.get("X-Install-Version") !== version) throw new Error("the page is of another version");
  return answer;
}

async function keepShell() {
  const answer = await fetchShell();
  await (await caches.open(APP)).put(shell, answer);
}

async function keepDecoder() {
  const cache = await caches.open(DECODER);
  const missing = [];
  for (const path of decoder) if (!(await cache.match(path))) missing.push(path);
  if (missing.length) await cache.addAll(missing.map(fresh));
}

addEventListener("install", (event) => {
  event.waitUntil((async () => {
    await keepShell();
    await (await caches.open(APP)).addAll(files.map(fresh));
  })());
});

addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith("install-") && name !== APP && name !== DECODER) await caches.delete(name);
    }
    await clients.claim();
  })());
});

addEventListener("message", (event) => {
  const work = { activate: () => skipWaiting(), shell: keepShell, decoder: keepDecoder }[event.data?.do];
  if (!work) return;
  event.waitUntil(work().then(
    () => event.ports[0]?.postMessage({ done: true }),
    (error) => event.ports[0]?.postMessage({ done: false, message: String(error) }),
  ));
});

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const address = request.url.split(/[?#]/, 1)[0];
  if (request.mode === "navigate" && address === absolute(shell)) event.respondWith(page(request));
  else if (kept.has(address)) event.respondWith(stored(APP, request));
  else if (heavy.has(address)) event.respondWith(stored(DECODER, request));
});

async function page(request) {
  return (await (await caches.open(APP)).match(shell)) ?? fetch(request);
}

async function stored(name, request) {
  const cache = await caches.open(name);
  const found = await cache.match(request, { ignoreSearch: true });
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok) await cache.put(request, answer.clone());
  return answer;
}

addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil((async () => {
    const open = await clients.matchAll({ type: "window" });
    const own = open.find((client) => client.url.startsWith(absolute(shell)));
    const address = `${shell}${event.notification.data ?? ""}`;
    if (!own) return clients.openWindow(address);
    own.postMessage({ go: event.notification.data ?? "#/" });
    return own.focus();
  })());
});
