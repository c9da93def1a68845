// What a model wrote is shown before it is applied: a repair of a diagnostic, and a rewriting by an instruction.

import { holds, same, scenario, set } from "./harness.mjs";

set({ "coderls.repair.chat": "on", "coderls.repair.checkers": ["parse", "ruff"] });

await scenario(async (code) => {
  const panel = code.page.locator(".bulk-edit-panel");
  const button = (name) => panel.getByRole("button", { name });
  /** VS Code ticks nothing by itself of what needs the user's word. */
  const take = async () => {
    await button("Apply").waitFor();
    await panel.locator(".edit-checkbox").first().click();
    await panel.locator(".edit-checkbox.checked").first().waitFor();
    await button("Apply").click();
    await panel.waitFor({ state: "hidden" });
  };

  // A repair by a model.
  await code.open("preview.py");
  await code.status(/coderls: fake on cpu/);
  await code.end();
  await code.press("Enter", "Escape", "Control+s");
  await code.page.locator(".squiggly-error, .squiggly-warning").first().waitFor();
  await code.press("Control+Home", "ArrowDown", "End");
  await code.action(/Find a verified fix/);
  await button("Apply").waitFor();
  await code.picture("repair");
  const before = await code.lines();
  holds(before.some((line) => line.includes("return qqq")), `nothing is changed before the user says so: ${before}`);
  await take();
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
  await button("Discard").waitFor();
  await code.picture("rewriting");
  await button("Discard").click();
  await panel.waitFor({ state: "hidden" });
  same((await code.lines()).map((line) => line.trim()).filter(Boolean), ["def whole(values):", "return values"], "what was discarded");

  // An instruction that is not given asks nobody.
  await code.end();
  await code.press("Control+a");
  await code.command("Rewrite Selection by an Instruction");
  await code.page.locator(".quick-input-widget", { hasText: "Rewrite by an instruction" }).waitFor();
  await code.press("Escape");
  await code.page.locator(".quick-input-widget").waitFor({ state: "hidden" });

  // From the list of actions, and taken.
  await code.press("Control+a");
  await code.action(/Rewrite by an instruction/, { key: "Control+Shift+r" });
  await code.page.locator(".quick-input-widget", { hasText: "Rewrite by an instruction" }).waitFor();
  await instruction.fill("make it a sum");
  await code.press("Enter");
  await take();
  await code.drawn("return sum(values)");
  await code.picture("rewritten");
});
