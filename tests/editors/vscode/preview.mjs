// What a model wrote is shown before it is applied: a repair of a diagnostic, and a rewriting by an instruction.

import { holds, same, scenario, set } from "./harness.mjs";

set({ "coderls.repair.chat": "on", "coderls.repair.checkers": ["parse", "ruff"] });

await scenario(async (code) => {
  const diff = code.page.locator(".monaco-diff-editor");
  const button = (name) => code.page.locator(`.editor-actions .action-label[aria-label*="${name}"]`);
  const shown = async (text) => {
    await diff.locator(".editor.modified .view-line", { hasText: text }).first().waitFor();
    await button("Apply").waitFor();
  };
  const take = async (name) => {
    await button(name).click();
    await diff.waitFor({ state: "detached" });
  };

  // A repair by a model: the change is seen whole, and one click applies it.
  await code.open("preview.py");
  await code.status(/coderls: fake on cpu/);
  await code.end();
  await code.press("Enter", "Escape", "Control+s");
  await code.page.locator(".squiggly-error, .squiggly-warning").first().waitFor();
  await code.press("Control+Home", "ArrowDown", "End");
  await code.action(/Find a verified fix/);
  await shown("return count");
  await code.notified(/F821 is gone, nothing new/);
  await code.picture("repair");
  const before = await diff.locator(".editor.original .view-lines").innerText();
  holds(before.replaceAll("\u00a0", " ").includes("return qqq"), `nothing is changed before the user says so: ${before}`);
  await take("Apply");
  await code.drawn("return count");

  // A rewriting that is not taken after all changes nothing.
  const instruction = code.page.locator(".quick-input-widget input");
  const rewrite = async (text) => {
    await code.command("Rewrite Selection by an Instruction");
    await code.page.locator(".quick-input-widget", { hasText: "Rewrite by an instruction" }).waitFor();
    await instruction.fill(text);
    await code.press("Enter");
  };
  await code.show("rewrite.py");
  await code.drawn("return values");
  await code.end();
  await code.press("Control+a");
  await rewrite("make it a sum");
  await shown("return sum(values)");
  await code.picture("rewriting");
  await take("Discard");
  same((await code.lines()).map((line) => line.trim()).filter(Boolean), ["def whole(values):", "return values"], "what was discarded");

  // An instruction that is not given asks nobody.
  await code.end();
  await code.press("Control+a");
  await code.command("Rewrite Selection by an Instruction");
  await code.page.locator(".quick-input-widget", { hasText: "Rewrite by an instruction" }).waitFor();
  await code.press("Escape");
  await code.page.locator(".quick-input-widget").waitFor({ state: "hidden" });

  // From the list of actions, and taken by the key.
  const fromActions = async () => {
    await code.end();
    await code.press("Control+a");
    await code.action(/Rewrite by an instruction/, { key: "Control+Shift+r" });
    await code.page.locator(".quick-input-widget", { hasText: "Rewrite by an instruction" }).waitFor();
    await instruction.fill("make it a sum");
    await code.press("Enter");
    await shown("return sum(values)");
  };
  await fromActions();
  await code.press("Control+Enter");
  await diff.waitFor({ state: "detached" });
  await code.drawn("return sum(values)");
  await code.picture("rewritten");

  // A file that was changed meanwhile is left as it is.
  await code.show("late.py");
  await fromActions();
  await code.show("late.py");
  await diff.waitFor({ state: "detached" });
  await code.end();
  await code.type("# mine");
  await code.drawn("# mine");
  await code.page.locator(".tab", { hasText: "late.py: Rewrite" }).click();
  await diff.waitFor();
  await code.notified(/Rewrite in lines 1 to 2/, "Apply");
  await diff.waitFor({ state: "detached" });
  await code.notified(/the file was changed since this preview was made, so nothing was applied/);
  const left = (await code.lines()).map((line) => line.trim()).filter(Boolean);
  same(left, ["def whole(values):", "return values", "# mine"], "a file that was changed meanwhile");
});
