// Translated words, the page's language and its time zone, as the server put them into the page.
const root = document.documentElement;
const source = document.getElementById("words");
const table = source ? JSON.parse(source.textContent) : {};

export const language = root.lang || "en";
export const locale = language === "de" ? "de-DE" : "en-GB";
export const zone = root.dataset.zone || undefined;

/** The translation of `key` with each {name} replaced. */
export function word(key, values = {}) {
  const text = table[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
