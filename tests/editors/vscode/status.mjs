// The status bar and its menu: pause and resume, a language switched off, an excluded file, model choice, doctor.

import { holds, scenario } from "./harness.mjs";

await scenario(async (code) => {
  await code.open("status.py");
  await code.status(/coderls: fake on cpu/);
  await code.menu();
  await code.picture("menu");
  await code.choose("Pause");
  await code.status(/coderls: paused/);
  await code.end();
  await code.type("def add(a, b):\nreturn ");
  await code.menu();
  await code.choose("Resume");
  await code.status(/coderls: fake on cpu/);
  holds(!(await code.lines()).some((line) => line.includes("a + b")), "a paused server completed");
  await code.end();
  await code.type("a");
  await code.press("Backspace");
  await code.ghost("a + b");
  await code.press("Escape");

  await code.menu();
  await code.choose("Switch off for python");
  await code.status(/coderls: not in this file/);
  await code.menu();
  await code.choose("Switch on for python");
  await code.status(/coderls: fake on cpu/);

  await code.open(".env");
  await code.status(/coderls: not in this file/);
  await code.picture("excluded");
  await code.page.locator(".statusbar-item", { hasText: /coderls/ }).first().hover();
  await code.page.locator(".monaco-hover", { hasText: "may hold secrets" }).first().waitFor();

  await code.menu();
  await code.choose("Run doctor");
  await code.drawn("coderls doctor, run by");
  await code.picture("doctor");

  await code.menu();
  await code.choose("Show engine log");
  await code.page.locator(".tab", { hasText: /engine-.*\.log/ }).waitFor();

  await code.menu();
  await code.choose("Choose model");
  await code.page.locator(".quick-input-list .monaco-list-row", { hasText: "nano" }).first().waitFor();
  await code.page.locator(".quick-input-list .monaco-list-row", { hasText: "qwen2.5-coder" }).first().waitFor();
  await code.picture("models");
  await code.press("Escape");
});
