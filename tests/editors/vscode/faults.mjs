// Faults: a server that dies while somebody types, one that is not there, a setting that is wrong, a broken model.

import * as fs from "node:fs";
import * as path from "node:path";
import { given, holds, scenario } from "./harness.mjs";

/** The ids of language servers that code-server started. */
function servers() {
  return fs.readdirSync("/proc").filter((id) => {
    try {
      const line = fs.readFileSync(`/proc/${id}/cmdline`, "utf8").split("\0");
      return line.includes("--stdio") && fs.readlinkSync(`/proc/${id}/cwd`).startsWith(given.data);
    } catch {
      return false;
    }
  });
}

/** Change settings of the machine, as the user does in the file. */
function set(settings) {
  const file = path.join(given.data, "Machine", "settings.json");
  fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(fs.readFileSync(file, "utf8")), ...settings }, null, 1));
}

await scenario(async (code) => {
  await code.open("faults.py");
  await code.status(/coderls: fake on cpu/);
  await code.end();

  // It dies in the middle of typing: nothing that was typed is lost, and completions come back.
  await code.type("def add(a, ");
  const before = servers(); // those of windows that were closed a moment ago are among them
  holds(before.length > 0, "no server runs");
  for (const id of before) process.kill(Number(id), "SIGKILL");
  await code.type("b):\nreturn ");
  await code.drawn("return ");
  await code.status(/coderls: fake on cpu/);
  await code.until(() => servers().length >= before.length && !servers().some((id) => before.includes(id)), "other servers");
  await code.type("a");
  await code.press("Backspace");
  await code.ghost("a + b");
  await code.press("Tab");
  await code.drawn("return a + b");
  holds((await code.lines()).some((line) => line.includes("def add(a, b):")), "typed text is lost");

  // A wrong setting is named, and the rest is used.
  set({ "coderls.completion.max_tokens": "many" });
  await code.notified(/Option 'completion.max_tokens' must be a whole number/);
  await code.status(/coderls: fake on cpu/);
  set({ "coderls.completion.max_tokens": 64 });

  // No such model; the menu begins with what helps.
  set({ "coderls.engine.model": "no-such-model" });
  await code.status(/coderls: no engine/);
  await code.menu();
  await code.page.locator(".quick-input-list .monaco-list-row", { hasText: "it says what to do" }).waitFor();
  await code.picture("error");
  await code.press("Escape");
  set({ "coderls.engine.url": "http://127.0.0.1:9" });
  await code.status(/coderls: offline/);
  await code.picture("offline");
  set({ "coderls.engine.url": "", "coderls.engine.model": given.model });
  await code.status(/coderls: fake on cpu/);

  // A server that is not there, and one that does not start.
  set({ "coderls.server.command": ["/nowhere/coderls", "--stdio"] });
  await code.status(/coderls: no server/);
  await code.menu();
  await code.page.locator(".quick-input-list .monaco-list-row", { hasText: "Install the server" }).waitFor();
  await code.picture("absent");
  await code.press("Escape");
  set({ "coderls.server.command": ["/bin/false", "--stdio"] });
  await code.status(/coderls: the server does not start/);
  set({ "coderls.server.command": given.server });
  await code.status(/coderls: fake on cpu/);
});
