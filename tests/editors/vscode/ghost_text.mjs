// Ghost text: Tab takes it, typing through keeps it, Escape dismisses it, a word and another one can be taken; and
// where there is none, Tab is what it always was.

import { holds, scenario } from "./harness.mjs";

await scenario(async (code) => {
  await code.open("ghost.py");
  await code.status(/coderls: fake on cpu/);
  await code.picture("ready");
  await code.end();

  await code.type("def add(a, b):\nreturn ");
  await code.ghost("a + b");
  await code.picture("ghost");
  await code.press("Tab");
  await code.drawn("return a + b");

  // A word of it can be taken, and typing through it keeps the rest.
  await code.fresh("sum_of_both = ");
  await code.ghost("a + b");
  await code.press("Control+ArrowRight");
  await code.ghost("+ b");
  await code.type(" +");
  await code.ghost("b");
  await code.press("Tab");
  await code.noGhost();
  await code.drawn("sum_of_both = a + b");

  // Escape dismisses it, and Tab indents then.
  await code.fresh("difference = ");
  await code.ghost("a - b");
  await code.press("Escape");
  await code.noGhost();
  await code.press("Home", "Tab");
  await code.drawn("    difference = ");
  holds(!(await code.lines()).some((line) => line.includes("a - b")), "a dismissed completion was taken");

  // There are several, and keys to go from one to the next.
  // In one piece: of what is typed through, only the rest of that text is left.
  await code.fresh("");
  await code.page.keyboard.insertText("one = ");
  await code.ghost("'first'");
  // VS Code hears the key a moment after the text is drawn: who saw nothing happen presses it again.
  const walk = (key, from, to) =>
    code.until(async () => {
      if ((await code.ghosts()).at(-1) === from) await code.press(key);
      return code.page.locator(".ghost-text-decoration", { hasText: to }).first().waitFor({ timeout: 5_000 }).then(() => true, () => false);
    }, `from ${from} to ${to}`);
  await walk("Alt+BracketRight", "'first'", "'second'");
  await walk("Alt+BracketLeft", "'second'", "'first'");
  await code.picture("alternatives");

  // The list of suggestions keeps its Tab.
  await code.fresh("import string\nstring_one = 1\nstring_two = 2\nstri");
  await code.press("Control+Space");
  await code.page.locator(".suggest-widget.visible .monaco-list-row", { hasText: "string_one" }).waitFor();
  await code.press("Tab");
  await code.page.locator(".suggest-widget.visible").waitFor({ state: "hidden" });
  // What is taken is drawn a moment after the list has gone.
  const taken = async () => (await code.lines()).filter((line) => line.trim().startsWith("string")).length >= 3;
  await code.until(taken, "Tab takes what the list offers");
});
