// A diagnostic is repaired through Ctrl+., and a selection is rewritten by an instruction.

import { scenario } from "./harness.mjs";

await scenario(async (code) => {
  await code.open("repair.py");
  await code.status(/coderls: fake on cpu/);
  // Something is changed and saved: the checkers look at it then.
  await code.end();
  await code.press("Escape", "Enter", "Escape", "Control+s");
  await code.page.locator(".squiggly-error").first().waitFor();
  await code.picture("diagnostic");

  const fix = code.page.locator(".action-widget .monaco-list-row", { hasText: /Find a verified fix|verified: parse/ }).first();
  await code.press("Escape", "Control+Home", "End");
  await code.until(async () => {
    // The list closes when new ghost text lands: it is opened again then.
    await code.press("Control+.");
    return fix.waitFor({ timeout: 4000 }).then(
      () => true,
      () => false,
    );
  }, "the list of actions");
  await code.picture("actions");
  await fix.click();
  await code.drawn("def f(a):");
  await code.press("Control+s");
  await code.page.locator(".squiggly-error").waitFor({ state: "detached" });
  await code.picture("repaired");
});
