// The first start on a machine without the server: no Python, one that is too old, no wheels, and then all that is needed.

import * as fs from "node:fs";
import * as path from "node:path";
import { given, holds, same, scenario, set } from "./harness.mjs";

/** What a user has on PATH: a script in the only folder that is on it. */
function python(...lines) {
  const file = path.join(given.bin, "python3");
  fs.writeFileSync(file, ["#!/bin/sh", ...lines, ""].join("\n"), { mode: 0o755 });
}

/** The environments that the extension has made. */
function environments() {
  const folder = path.join(given.data, "User", "globalStorage", "coderls.coderls", "server");
  return fs.existsSync(folder) ? fs.readdirSync(folder).filter((name) => name.startsWith("env-")) : [];
}

await scenario(async (code) => {
  const dialog = code.page.locator(".monaco-dialog-box", { hasText: "Install the coderls server?" });
  const answer = (name) => dialog.getByRole("button", { name, exact: true }).click();

  // The walkthrough comes by itself, and its first button leads on.
  await code.open("install.py");
  await code.page.getByText("Code completion and repair from a model on your own machine.").first().waitFor();
  await code.status(/coderls: no server/);
  await code.picture("walkthrough");
  await code.page.locator(".getting-started-step .monaco-button", { hasText: "Install the server" }).click();
  await code.notified(/coderls needs Python 3\.10 to 3\.14 with venv, and found none\..*There is no Python on PATH\./s);
  await code.picture("no-python");
  await code.status(/coderls: no server/);

  // A Python that is too old, by its own word.
  python(`exec ${given.python} -c "import sys; sys.version_info = (3, 8, 10, 'final', 0)
$2"`);
  await code.menu("Install the server");
  await code.notified(/Python 3\.8\.10 is too old: coderls needs 3\.10 to 3\.14/);
  await code.picture("old-python");

  // One that does. The user is asked first, and may say no.
  python(`exec ${given.python} "$@"`);
  await code.menu("Install the server");
  await dialog.getByRole("button", { name: "With CUDA" }).waitFor();
  await code.picture("question");
  let mark = await code.states();
  await answer("Cancel");
  await code.passed(mark, /no server/);
  same(environments(), [], "environments after a no");

  // Without a network, and without the wheels that are needed.
  mark = await code.states();
  set({ "coderls.server.wheels": given.empty });
  await code.passed(mark, /looking for the server/, /no server/);
  await code.menu("Install the server");
  await answer("Install");
  await code.notified(/A package was not found\. Without a network, name a folder of wheels/);
  await code.status(/coderls: no server/);
  same(environments(), [], "environments after a failure");

  // With them.
  mark = await code.states();
  set({ "coderls.server.wheels": given.wheels });
  await code.passed(mark, /looking for the server/, /no server/);
  await code.menu("Install the server");
  await answer("Install");
  await code.page.locator(".notification-list-item", { hasText: /Installing the coderls server/ }).first().waitFor();
  await code.picture("installing");
  await code.passed(mark, /installing/, /coderls: fake on cpu/);
  same(environments().length, 1, "environments after an installation");
  await code.command("View: Show Explorer");
  await code.page.locator(".tab", { hasText: "install.py" }).click();
  await code.end();
  await code.type("sum_of_both = ");
  await code.ghost("a + b");
  await code.press("Tab");
  await code.drawn("sum_of_both = a + b");
  await code.menu("Run doctor");
  await code.drawn("coderls doctor, run by its own environment");
  holds(fs.existsSync(path.join(given.data, "User", "globalStorage", "coderls.coderls", "server", environments()[0], "installed.json")), "it is marked as whole");
});
