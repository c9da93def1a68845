// Two windows on one folder, a window without a folder, a file without a name; and the walkthrough of a first start.

import { Code, given, scenario } from "./harness.mjs";

await scenario(async (code) => {
  const other = new Code(await code.context.newPage(), code.context);
  await other.prepare();
  await code.open("two.py");
  await other.open("two.py");
  for (const window of [code, other]) {
    await window.page.bringToFront();
    await window.status(/coderls: fake on cpu/);
    await window.end();
    await window.type("sum_of_both = ");
    await window.ghost("a + b");
    await window.press("Escape");
  }

  await other.open(undefined, null);
  await other.status(/coderls: fake on cpu/);
  await other.command("New Untitled Text File");
  await other.editor();
  await other.command("Change Language Mode");
  await other.page.locator(".quick-input-widget input").fill("Python");
  await other.choose("Python");
  await other.end();
  await other.type("sum_of_both = ");
  await other.ghost("a + b");
  await other.picture("untitled");
  await other.press("Tab");
  await other.drawn("sum_of_both = a + b");

  await other.command("coderls: Get Started");
  await other.page.getByText("Code completion and repair from a model on your own machine.").first().waitFor();
  await other.picture("walkthrough");
});
