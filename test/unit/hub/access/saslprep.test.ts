import assert from "node:assert/strict";
import { test } from "node:test";
import { isUnambiguous } from "../../../../hub/access/saslprep.ts";

test("text that SASLprep leaves alone means the same to every client", () => {
  for (const text of [
    "",
    "pencil",
    "a b",
    "correct, horse=battery",
    "pässwörd",
    "пароль",
    "密码",
    "p@$$ \\ \" '",
    "🔑",
  ]) {
    assert.ok(isUnambiguous(text), text);
  }
});

test("text that SASLprep would change or refuse is ambiguous", () => {
  for (const [what, text] of [
    ["a no-break space", "a\u00a0b"],
    ["an ideographic space", "a\u3000b"],
    ["a soft hyphen (RFC 4013, section 3)", "I\u00adX"],
    ["a feminine ordinal (RFC 4013, section 3)", "\u00aa"],
    ["a Roman numeral (RFC 4013, section 3)", "\u2168"],
    ["a ligature", "\ufb01"],
    ["an accent of its own", "e\u0301"],
    ["a zero-width joiner", "a\u200db"],
    ["a variation selector", "a\ufe0f"],
    ["a control character (RFC 4013, section 3)", "\u0007"],
    ["a line end", "a\n"],
    ["a NUL", "a\0b"],
    ["private use", "\ue000"],
    ["half a surrogate pair", "\ud800"],
    ["an unassigned character", "\u{e0080}"],
  ] as const) {
    assert.ok(!isUnambiguous(text), what);
  }
});
