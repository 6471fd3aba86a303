// Scans that hold a meter's number (DIN 43863-5), or something that was meant to be one.
import { isAscii, plain } from "./look_alikes.js";

const SECTORS = "12456789EFG";
const LENGTH = 14;
const ID = "[0-9A-Z] ?[A-Z]{3} ?[0-9A-F]{2} ?[0-9]{4} ?[0-9]{4}";
const INSIDE = new RegExp(`(?<![0-9A-Z])(${ID})(?![0-9A-Z])`, "gi");
const AA = new RegExp(`^AA[ :=]?(${ID})(?=$|[^0-9A-Z]|[A-Z]{2})`, "i");
const SERVER_ID = /^(?:SERVER-?ID *[:=]? *)?(0[9A](?:[- :]?[0-9A-F]{2}){9})$/i;
// What people and cameras mix up, by what the place takes.
const DIGIT_FOR = { O: "0", Q: "0", D: "0", I: "1", L: "1", S: "5", B: "8", Z: "2", G: "6" };
const LETTER_FOR = { 0: "O", 1: "I", 5: "S", 8: "B", 2: "Z" };
const HEX_FOR = { O: "0", Q: "0", I: "1", L: "1" };

/** The scan of the one meter that the text names; null for a text that names none. */
export function readMeter(text, scan) {
  const found = idsIn(text);
  if (found.size > 1) return scan("unknown", "several_meters");
  for (const id of found) return meter("meter", id, scan);
  const octets = SERVER_ID.exec(text);
  const own = octets && ofServerId(octets[1].replace(/[- :]/g, ""));
  return own ? meter("meter_server_id", own, scan) : null;
}

/** Why a text that looks like a meter's number is none; null for one that does not look like it. */
export function typo(text, scan) {
  let compact = compacted(plain(text));
  const wrong = (code, values = {}) => scan("meter_typo", code, { values });
  if (!isAscii(text)) return parsed(compact) ? wrong("meter_look_alike") : null;
  if (compact.startsWith("AA") && compact.length === LENGTH + 2) compact = compact.slice(2);
  if (/^[0-9]{8}$/.test(compact)) return wrong("number_only");
  if (/^[A-Z]{3}[0-9A-F]{2}[0-9]{8}$/.test(compact)) return wrong("sector_missing");
  if (compact.length === LENGTH) return mixedUp(compact, wrong) ?? misplaced(compact, wrong);
  if (/^[0-9A-Z][A-Z]{3}[0-9A-F]{2}[0-9]{5,11}$/.test(compact) && SECTORS.includes(compact[0])) return wrong("length", { length: compact.length });
  return null;
}

/** As printed on the meter: `1 EMH 00 1234 5678`. */
export const spaced = (id) => `${id[0]} ${id.slice(1, 4)} ${id.slice(4, 6)} ${id.slice(6, 10)} ${id.slice(10)}`;

export const isSector = (character) => SECTORS.includes(character);

function idsIn(text) {
  // The line AA of a meter's Data Matrix is its own number; other lines may name other things.
  const own = text.split("\n").map((line) => parsed(AA.exec(line)?.[1] ?? "")).filter(Boolean);
  const all = own.length ? own : [...[...text.matchAll(INSIDE)].map((match) => parsed(match[1])), parsed(text)];
  return new Set(all.filter(Boolean));
}

const compacted = (text) => text.toUpperCase().replace(/[ \-._/]/g, "");

function parsed(text) {
  if (text.length > 2 * LENGTH) return null;
  const id = compacted(text);
  return /^[0-9A-Z][A-Z]{3}[0-9A-F]{2}[0-9]{8}$/.test(id) && SECTORS.includes(id[0]) ? id : null;
}

function ofServerId(hex) {
  const octet = (i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  const sector = octet(1).toString(36).toUpperCase();
  const number = parseInt(hex.slice(12), 16);
  if (number > 99_999_999 || sector.length !== 1) return null;
  const maker = String.fromCharCode(octet(2), octet(3), octet(4));
  return parsed(`${sector}${maker}${hex.slice(10, 12)}${String(number).padStart(8, "0")}`);
}

function meter(code, id, scan) {
  return scan("meter", code, { meter_id: id, display: spaced(id), values: { meter: spaced(id) } });
}

function mixedUp(compact, wrong) {
  const with_ = (text, table) => [...text].map((character) => table[character] ?? character).join("");
  const meant = (SECTORS.includes(compact[0]) ? compact[0] : with_(compact[0], DIGIT_FOR))
    + with_(compact.slice(1, 4), LETTER_FOR) + with_(compact.slice(4, 6), HEX_FOR) + with_(compact.slice(6), DIGIT_FOR);
  const id = parsed(meant);
  if (!id || meant === compact) return null;
  const faults = [...compact].map((given, i) => (given === meant[i] ? "" : `${i + 1}: ${meant[i]} ≠ ${given}`)).filter(Boolean);
  return wrong("confused", { faults: faults.join(", "), suggestion: spaced(id) });
}

function misplaced(compact, wrong) {
  if (!/^[0-9A-Z][A-Z]{3}[0-9A-Z]{10}$/.test(compact) || compact.slice(4).replace(/[^0-9]/g, "").length < 7) return null;
  if (!SECTORS.includes(compact[0])) return wrong("sector", { character: compact[0] });
  const block = /[^0-9A-F]/.exec(compact.slice(4, 6));
  if (block) return wrong("block", { character: block[0] });
  const letter = /[^0-9]/.exec(compact.slice(6));
  return letter && wrong("number", { character: letter[0] });
}
