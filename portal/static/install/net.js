// Requests to the portal: JSON in and out, and which failures pass by themselves.
const TIMEOUT_MS = 15_000;
const PHOTO_TIMEOUT_MS = 90_000;

/** What the portal refused, or why it could not be asked. `temporary` failures are tried again. */
export class Refusal extends Error {
  constructor(status, body, retryAfter = 0) {
    super(body?.message || `status ${status}`);
    this.status = status;
    this.code = body?.code ?? "";
    this.body = body ?? {};
    this.retryAfter = retryAfter;
  }

  /** No network, a server in trouble, too many requests, or an expired session: none of them is an answer. */
  get temporary() {
    const { status, code } = this;
    return status === 0 || status === 401 || status === 408 || status === 425 || status === 429 || status >= 500
      || (status === 403 && code === "permission_denied") || (status < 400 && code === "not_json");
  }

  get offline() {
    return this.status === 0;
  }
}

let token = "";
let fetchToken = async () => {};

/** The portal's word against forged requests; it comes with the session. */
export function useToken(text) {
  token = text ?? "";
}

/** `fetcher` is called before the first write of a page that does not have the token yet. */
export function tokenFrom(fetcher) {
  fetchToken = fetcher;
}

/** Resolves to the answer's JSON. Throws Refusal. */
export async function ask(method, path, { body, key, raw, timeout = TIMEOUT_MS } = {}) {
  if (method !== "GET" && !token) await fetchToken();
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = token;
  if (key) headers["Idempotency-Key"] = key;
  if (raw) headers["Content-Type"] = raw.type;
  else if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  let content = null;
  try {
    answer = await fetch(path, {
      method, headers, body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
      credentials: "same-origin", cache: "no-store", redirect: "error", signal: limit(timeout),
    });
    const text = await answer.text();
    content = text ? parse(text) : {};
  } catch {
    throw new Refusal(0, null);
  }
  if (!answer.ok) throw new Refusal(answer.status, content, wait(answer));
  // A hotel's or a station's login page answers 200 to everything.
  if (content === null) throw new Refusal(answer.status, { code: "not_json" });
  return content;
}

export const read = (path, options) => ask("GET", path, options);
export const send = (path, body, options) => ask("POST", path, { body, ...options });
export const upload = (path, blob) => ask("PUT", path, { raw: blob, timeout: PHOTO_TIMEOUT_MS });

/** Sends one of the portal's forms, whose answer is a page. Throws Refusal. */
export async function post(path, fields = {}) {
  if (!token) await fetchToken();
  const body = new URLSearchParams({ csrfmiddlewaretoken: token, ...fields });
  const answer = await fetch(path, { method: "POST", body, credentials: "same-origin", signal: limit(TIMEOUT_MS) }).catch(() => {
    throw new Refusal(0, null);
  });
  if (!answer.ok) throw new Refusal(answer.status, null);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function limit(ms) {
  if (AbortSignal.timeout) return AbortSignal.timeout(ms);
  const control = new AbortController();
  setTimeout(() => control.abort(), ms);
  return control.signal;
}

function wait(answer) {
  const seconds = Number(answer.headers.get("Retry-After"));
  return Number.isFinite(seconds) ? Math.min(seconds, 600) * 1000 : 0;
}
