// A diagnostic is repaired through Ctrl+.

import { scenario } from "./harness.mjs";

await scenario(async (code) => {
  await code.open("repair.py");
  await code.status(/coderls: fake on cpu/);
  // Something is changed and saved: the checkers look at it then.
  await code.end();
  await code.press("Escape", "Enter", "Escape", "Control+s");
  await code.page.locator(".squiggly-error").first().waitFor();
  await code.picture("diagnostic");

  await code.press("Escape", "Control+Home", "End");
  await code.action(/Find a verified fix|verified: parse/, { take: false });
  await code.picture("actions");
  await code.press("Escape");
  await code.action(/Find a verified fix|verified: parse/);
  await code.drawn("def f(a):");
  await code.press("Control+s");
  await code.page.locator(".squiggly-error").waitFor({ state: "detached" });
  await code.picture("repaired");
});
