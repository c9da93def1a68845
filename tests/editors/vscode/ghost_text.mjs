// Ghost text: it appears, Tab takes it, typing through keeps it, Escape dismisses it, a word and another one can be taken.

import { given, holds, same, scenario } from "./harness.mjs";

await scenario(async (code) => {
  await code.open("add.py");
  await code.status(/coderls: fake on cpu/);
  await code.picture("ready");
  await code.end();

  await code.type("def add(a, b):\n");
  await code.type("return ");
  await code.ghost("a + b");
  await code.picture("ghost");
  await code.press("Tab");
  await code.drawn("return a + b");
  await code.ghost("");
  await code.press("Enter", "Enter");
});
