import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ghostOf, hintOf, isNextEdit, reasonOf, stepAt, type NextEdit } from "../../src/nextEditText";

const EDIT: NextEdit = {
  id: 3,
  textDocument: { uri: "file:///a.py", version: 7 },
  range: { start: { line: 9, character: 4 }, end: { line: 9, character: 9 } },
  newText: "total",
  kind: "repeat",
  reason: "`count` became `total`",
  evidence: [],
  more: 2,
};

void describe("the next edit", () => {
  void it("is believed only where it is one", () => {
    assert.ok(isNextEdit(EDIT));
    const odd = [null, undefined, 3, {}, { ...EDIT, id: "3" }, { ...EDIT, range: { start: EDIT.range.start } }, { ...EDIT, newText: null }];
    for (const each of [...odd, { ...EDIT, textDocument: undefined }, { ...EDIT, evidence: "none" }]) assert.equal(isNextEdit(each), false);
  });

  void it("is drawn on one line, with all of its blanks", () => {
    assert.equal(ghostOf(EDIT), "total");
    assert.equal(ghostOf({ ...EDIT, newText: "  is not" }), "\u00a0\u00a0is\u00a0not");
    assert.equal(ghostOf({ ...EDIT, newText: "if x:\r\n    y\r\n" }), "if\u00a0x:\u00a0⏎\u00a0…");
    assert.equal(ghostOf({ ...EDIT, newText: "one\n" }), "one");
    assert.equal(ghostOf({ ...EDIT, newText: "" }), "");
    assert.ok(ghostOf({ ...EDIT, newText: "x".repeat(500) }).length <= 120);
  });

  void it("says where it is and why, where it is out of sight", () => {
    assert.equal(hintOf(EDIT, 200).trim().replaceAll("\u00a0", " "), "↑ line 10: `count` became `total` (2 more)");
    assert.match(hintOf(EDIT, 2), /↓/);
    assert.equal(reasonOf({ ...EDIT, more: 0 }), "`count` became `total`");
  });

  void it("is gone to first, and taken from there", () => {
    assert.equal(stepAt({ line: 0, character: 0 }, EDIT), "go");
    assert.equal(stepAt({ line: 9, character: 3 }, EDIT), "go");
    assert.equal(stepAt({ line: 9, character: 4 }, EDIT), "take");
    assert.equal(stepAt({ line: 9, character: 9 }, EDIT), "take");
    assert.equal(stepAt({ line: 9, character: 10 }, EDIT), "go");
    assert.equal(stepAt({ line: 10, character: 4 }, EDIT), "go");
  });
});
