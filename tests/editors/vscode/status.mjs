// The status bar and its menu: pause and resume, a language switched off, an excluded file, model choice, doctor.

import { given, same, scenario, set } from "./harness.mjs";

await scenario(async (code) => {
  await code.open("status.py");
  await code.status(/coderls: fake on cpu/);
  await code.menu();
  await code.picture("menu");
  await code.choose("Pause");
  await code.status(/coderls: paused/);
  // Nothing comes by itself then; who asks for a completion still gets it.
  const before = (await code.ghosts()).length;
  await code.end();
  await code.type("sum_of_both = ");
  await code.drawn("sum_of_both = ");
  same((await code.ghosts()).slice(before), [], "ghost text while it was paused");
  await code.command("Trigger Inline Suggestion");
  await code.ghost("a + b");
  same((await code.ghosts()).slice(before), ["a + b"], "ghost text while it was paused");
  await code.press("Escape");
  await code.menu("Resume");
  await code.status(/coderls: fake on cpu/);
  await code.end();
  await code.type("a");
  await code.press("Backspace");
  await code.ghost("a + b");
  await code.press("Escape");

  await code.menu("Switch off for python");
  await code.status(/coderls: not in this file/);
  await code.menu("Switch on for python");
  await code.status(/coderls: fake on cpu/);

  await code.show(".env");
  await code.status(/coderls: not in this file/);
  await code.picture("excluded");
  await code.page.locator(".statusbar-item", { hasText: /coderls/ }).first().hover();
  await code.page.locator(".monaco-hover", { hasText: "may hold secrets" }).first().waitFor();

  await code.menu("Run doctor");
  await code.drawn("coderls doctor, run by");
  await code.picture("doctor");

  await code.menu("Show engine log");
  await code.page.locator(".tab", { hasText: /engine-.*\.log/ }).waitFor();

  await code.menu("Choose model");
  await code.page.locator(".quick-input-list .monaco-list-row", { hasText: "nano" }).first().waitFor();
  await code.page.locator(".quick-input-list .monaco-list-row", { hasText: "qwen2.5-coder" }).first().waitFor();
  await code.picture("models");
  await code.press("Escape");

  // Another model: it starts, loads, is ready, and turns out to be slow.
  await code.show("status.py");
  await code.status(/coderls: fake on cpu/);
  const mark = await code.states();
  set({ "coderls.engine.model": given.slow });
  await code.passed(mark, /loading slow-model \d+%/, /coderls: slow-model on cpu/);
  await code.fresh("one = ");
  await code.status(/coderls: slow: slow-model on cpu/);
  await code.picture("slow");
  set({ "coderls.engine.model": given.model });
  await code.status(/coderls: fake on cpu/);
});
