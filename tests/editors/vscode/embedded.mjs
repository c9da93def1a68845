// The model that comes with coderls: it loads, completes, and Tab takes what it says.

import { given, holds, scenario, set } from "./harness.mjs";

set({ "coderls.engine.model": given.model });

await scenario(async (code) => {
  await code.open("embedded.py");
  await code.status(/coderls: nano\S* on cpu/);
  await code.end();
  await code.type("    return width ");
  await code.page.locator(".ghost-text-decoration").first().waitFor();
  await code.picture("ghost");
  const said = await code.page.evaluate(() => [...document.querySelectorAll(".ghost-text-decoration")].map((part) => part.textContent).join(""));
  holds(said.trim() !== "", "the ghost text is empty");
  await code.press("Tab");
  await code.drawn(`return width ${said.replaceAll("\u00a0", " ").trim()}`);
});
