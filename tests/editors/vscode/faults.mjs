// Faults: a server that dies while somebody types, one that is not there, a setting that is wrong, a broken model.

import { given, holds, scenario, servers, set } from "./harness.mjs";

await scenario(async (code) => {
  await code.open("faults.py");
  await code.status(/coderls: fake on cpu/);
  await code.end();

  // It dies in the middle of typing: nothing that was typed is lost, and completions come back.
  await code.type("sum_of_");
  const [server, ...others] = servers();
  holds(server !== undefined && others.length === 0, `one server runs, and ${others.length} others`);
  const mark = await code.states();
  process.kill(Number(server), "SIGKILL");
  await code.type("both = ");
  await code.passed(mark, /starting again/, /coderls: fake on cpu/);
  await code.until(() => servers().length === 1 && servers()[0] !== server, () => `one other server than ${server}: ${servers()}`);
  await code.type("a");
  await code.press("Backspace");
  await code.ghost("a + b");
  await code.press("Tab");
  await code.drawn("sum_of_both = a + b");

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
