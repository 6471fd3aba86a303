// Letters of other alphabets that look like Latin ones: capitals, then the small ones, Cyrillic and Greek.
const FOREIGN = "АВЕЅІЈКМНОРСТХУΑΒΕΖΗΙΚΜΝΟΡΤΥΧасеіјорхуѕοντ";
const LATIN = "ABESIJKMHOPCTXYABEZHIKMNOPTYXaceijopxysovt";
const table = new Map([...FOREIGN].map((letter, i) => [letter, LATIN[i]]));

/** The text as a typist meant it. */
export const plain = (text) => [...text.normalize("NFKC")].map((letter) => table.get(letter) ?? letter).join("");

export const isAscii = (text) => /^[\x00-\x7f]*$/.test(text);
