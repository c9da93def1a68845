// The next edit: what goes is struck out, what comes stands behind it; one key goes there and takes it, Escape dismisses it.

import { POLLING, same, scenario } from "./harness.mjs";

await scenario(async (code) => {
  const text = async () => (await code.lines()).map((line) => line.trim()).filter(Boolean);
  /** Whether `total` is drawn in a line with this text: by the style sheet, behind what goes. */
  const comes = (line) =>
    [...document.querySelectorAll(".view-line span")].some(
      (span) => getComputedStyle(span, "::after").content.includes("total") && span.closest(".view-line").textContent.includes(line),
    );

  await code.open("next_edit.py");
  await code.status(/coderls: fake on cpu/);
  await code.drawn("return count * 2");

  // A parameter gets another name; the cursor leaves it, and its first use is offered.
  await code.page.locator(".monaco-editor .view-lines").first().click();
  await code.press("Control+Home", "End", "ArrowLeft", "ArrowLeft", "Control+Shift+ArrowLeft");
  await code.page.keyboard.type("total");
  await code.press("Escape", "ArrowDown");
  await code.page.waitForFunction(comes, "y", POLLING);
  await code.picture("offered");
  await code.press("Alt+BracketRight", "Alt+BracketRight");
  await code.drawn("y = total");

  // The next one, and from there Escape: it stays away, and Alt+] is VS Code's own again.
  await code.page.waitForFunction(comes, "return", POLLING);
  await code.press("Escape", "Escape"); // the first one may be for ghost text
  await code.until(async () => !(await code.page.evaluate(comes, "return")), "the next edit is not shown any more");
  await code.press("Alt+BracketRight");
  same(await text(), ["def f(total):", "x = 1", "y = total", "return count * 2"], "what was dismissed");
});
