// Numbers, units and times as people of the page's language write them.
import { language, locale, word, zone } from "./words.js";

const exact = new Intl.DateTimeFormat(locale, { timeZone: zone, day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const short = new Intl.DateTimeFormat(locale, { timeZone: zone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const numbers = new Map();

/** `value` with `digits` decimals, grouped; a real minus sign; "–" when there is none. */
export function number(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  if (!numbers.has(digits)) numbers.set(digits, new Intl.NumberFormat(language === "de" ? "de-DE" : "en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  return numbers.get(digits).format(value).replace("-", "−");
}

/** Relative under a day, else day and time. `then` and `now` in ms. */
export function ago(then, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - then) / 1000));
  if (seconds < 60) return word("ago", { time: `${seconds} s` });
  if (seconds < 3600) return word("ago", { time: `${Math.floor(seconds / 60)} min` });
  if (seconds < 86400) return word("ago", { time: `${Math.floor(seconds / 3600)} h` });
  return day(then);
}

/** Day, month, hour and minute in the page's zone. */
export function day(ms) {
  return short.format(ms);
}

/** Everything down to the second, for the hover text. */
export function moment(ms) {
  return exact.format(ms);
}
