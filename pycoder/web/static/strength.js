/** A rough estimate of the strength of a password. Only the server accepts or rejects one. */

const SENTENCES = [
  "Too short: 8 characters or more.",
  "Weak: easy to guess.",
  "Fair. A longer one is stronger.",
  "Good.",
  "Strong.",
];

/**
 * @param {string} password @param {string[]} known values of the other fields
 * @returns {{ score: number, sentence: string }}
 */
export function strength(password, known) {
  let counted = password.toLowerCase();
  for (const part of known.flatMap((value) => value.toLowerCase().split(/[@.\s]/))) {
    if (part.length > 2) counted = counted.replaceAll(part, "");
  }
  counted = counted.replace(/password|qwert[yz]|letmein|welcome/g, "");
  const codes = Array.from(counted, (character) => character.codePointAt(0) ?? 0);
  // A repeated character, or a neighbour of the one before, adds nothing.
  const unpredictable = codes.filter((code, at) => at === 0 || Math.abs(code - codes[at - 1]) > 1);
  const length = Math.min(unpredictable.length, new Set(unpredictable).size * 2);
  const long = [...password.normalize("NFC")].length >= 8;
  const score = long ? 1 + [7, 11, 15].filter((limit) => length > limit).length : 0;
  return { score, sentence: SENTENCES[score] };
}
