/**
 * SASLprep (RFC 4013) folds different texts into one: a no-break space becomes a space, "ﬁ" becomes "fi". Clients do it
 * or leave it out, so a name or password that it would change means one thing to one client and another to the next.
 * Such a text is refused rather than folded; what is left is the same for every client.
 */

/** Control, format, private use, unassigned and surrogate characters; separators other than the space. */
const AMBIGUOUS = /\p{C}|(?! )\p{Z}/u;
/** "Commonly mapped to nothing" (RFC 3454, table B.1), as far as they are not format characters already. */
const MAPPED_TO_NOTHING = /\p{Variation_Selector}|\u034f|\u1806/u;

/** True when SASLprep leaves the text as it is. */
export function isUnambiguous(text: string): boolean {
  return text.normalize("NFKC") === text && !AMBIGUOUS.test(text) && !MAPPED_TO_NOTHING.test(text);
}
