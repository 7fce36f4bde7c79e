/**
 * How large a regular expression becomes when its counted repetitions are written out, before that is done: compiling
 * `((x{10}){10}){10}` takes a thousand times the work of `x`, and an expression of 500 characters can take a second.
 *
 * An upper bound, of a reader that knows what a repetition repeats and nothing else: a character, an escape or a class
 * counts one, a group what is in it. What is no valid expression has a size too; whoever compiles it will say so.
 */
export function expandedSize(regex: string): number {
  /** One entry a group that is open: what it holds so far, and of it the part that a repetition would repeat. */
  const open = [{ size: 0, atom: 0 }];
  for (let at = 0; at < regex.length;) {
    const [length, kind] = tokenAt(regex, at);
    const level = open.at(-1) ?? { size: 0, atom: 0 };
    if (kind === "open") open.push({ size: 1, atom: 0 });
    else if (kind === "close" && open.length > 1) {
      open.pop();
      addAtom(open.at(-1) ?? level, level.size + 1);
    } else if (kind === "repeat") {
      const counts = regex.slice(at + 1, at + length - 1).split(",");
      const repeated = level.atom * Math.max(1, ...counts.map(Number));
      level.size += repeated;
      level.atom += repeated;
    } else if (kind === "atom") addAtom(level, length > 1 && regex.startsWith("\\Q", at) ? length : 1);
    else level.size += 1;
    at += length;
  }
  return open.reduce((sum, { size }) => sum + size, 0);
}

function addAtom(level: { size: number; atom: number }, size: number): void {
  level.atom = size;
  level.size += size;
}

type TokenKind = "open" | "close" | "repeat" | "operator" | "atom";

function tokenAt(regex: string, at: number): readonly [length: number, kind: TokenKind] {
  switch (regex[at]) {
    case "(":
      return [1, "open"];
    case ")":
      return [1, "close"];
    case "*":
    case "+":
    case "?":
    case "|":
      return [1, "operator"];
    case "{": {
      const length = /^\{\d+(?:,\d*)?\}/.exec(regex.slice(at, at + 20))?.[0].length;
      return length === undefined ? [1, "atom"] : [length, "repeat"];
    }
    case "[":
      return [classLength(regex, at), "atom"];
    case "\\":
      return [escapeLength(regex, at), "atom"];
    default:
      return [1, "atom"];
  }
}

/** `\Qliteral\E`, `\p{Name}` and `\x{10FFFF}` are longer than two. */
function escapeLength(regex: string, at: number): number {
  const next = regex[at + 1];
  if (next === "Q") {
    const end = regex.indexOf("\\E", at + 2);
    return (end < 0 ? regex.length : end + 2) - at;
  }
  if ((next === "p" || next === "P" || next === "x") && regex[at + 2] === "{") {
    const end = regex.indexOf("}", at);
    if (end >= 0) return end + 1 - at;
  }
  return 2;
}

/** A `]` that comes first is a member of the class; `[:alpha:]` may be one too. */
function classLength(regex: string, start: number): number {
  let at = start + 1;
  if (regex[at] === "^") at += 1;
  if (regex[at] === "]") at += 1;
  while (at < regex.length && regex[at] !== "]") {
    const named = regex.startsWith("[:", at) ? regex.indexOf(":]", at + 2) : -1;
    if (named >= 0) at = named + 2;
    else at += regex[at] === "\\" ? escapeLength(regex, at) : 1;
  }
  return Math.min(at + 1, regex.length) - start;
}
