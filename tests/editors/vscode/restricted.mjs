// A folder that the user does not trust: completions come, and nothing of it runs or chooses; then the user trusts it.

import * as fs from "node:fs";
import { given, holds, scenario } from "./harness.mjs";

await scenario(async (code) => {
  await code.open("restricted.py");
  await code.page.locator(".statusbar-item", { hasText: "Restricted Mode" }).waitFor();
  await code.status(/coderls: fake on cpu/);
  // VS Code shows the walkthrough again in the first folder after an empty window in which one of its buttons was used.
  await code.show("restricted.py");
  await code.end();
  await code.type("sum_of_both = ");
  await code.ghost("a + b");
  await code.press("Tab");
  await code.drawn("sum_of_both = a + b");
  await code.picture("completion");

  // Checkers look at what is saved: ours, not the folder's.
  const saved = async (text) => {
    await code.fresh(text);
    await code.press("Escape", "Control+s");
    await code.page.locator(".squiggly-error").first().waitFor();
  };
  await saved("def f(a)\nreturn a");
  holds(!fs.existsSync(given.ran), "a checker of the folder ran");

  // Trusted, it is asked. What the folder's settings name as the server is not run, then either.
  const mark = await code.states();
  await code.command("Workspaces: Manage Workspace Trust");
  await code.page.getByRole("button", { name: "Trust", exact: true }).first().click();
  await code.passed(mark, /looking for the server/, /coderls: fake on cpu/);
  await code.page.locator(".monaco-modal-editor-block .codicon-close").first().click();
  await saved("def g(a)\nreturn a");
  await code.until(() => fs.existsSync(given.ran), "the folder's own checker runs");
  await code.picture("trusted");
  holds(!fs.existsSync(given.poisoned), "a command of the folder's settings ran");
});
