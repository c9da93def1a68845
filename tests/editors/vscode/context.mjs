// The panel of the context: what was in the prompt, with links that open the lines.

import { scenario } from "./harness.mjs";

await scenario(async (code) => {
  await code.open("context.py");
  await code.status(/coderls: fake on cpu/);
  await code.menu("Show context");
  await code.webview("No completion yet");
  await code.end();
  await code.type("shape.area()\nsum_of_both = ");
  await code.ghost("a + b");
  await code.press("Tab");
  await code.menu("Show context");
  const panel = await code.webview("The prompt, in its order");
  await panel.locator("a", { hasText: "shapes.py" }).first().waitFor();
  await code.picture("panel");
  await panel.locator("a", { hasText: "shapes.py" }).first().click();
  await code.page.locator(".tab.active", { hasText: "shapes.py" }).waitFor();
  await code.drawn("class Shape:");
  await code.page.locator(".monaco-editor .selected-text").first().waitFor();
});
