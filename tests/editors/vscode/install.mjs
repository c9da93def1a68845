// The first start, in a window without a folder: the server of the active Python environment; then none, and no Python, one
// that is too old, a no, an installation that is stopped, one without wheels, and one with all that is needed.

import * as fs from "node:fs";
import * as path from "node:path";
import { command, given, holds, same, scenario, servers, set } from "./harness.mjs";

const OWN = path.join(given.data, "User", "globalStorage", "coderls.coderls", "server");

/** What a user has on PATH: a script in the only folder that is on it. */
function python(...lines) {
  const file = path.join(given.bin, "python3");
  fs.writeFileSync(file, ["#!/bin/sh", ...lines, ""].join("\n"), { mode: 0o755 });
}

/** What the extension has made: environments, and the lock while it makes one. */
function made() {
  return fs.existsSync(OWN) ? fs.readdirSync(OWN) : [];
}

/** The programs of the servers that run. */
const programs = () => servers().map((id) => command(id)[0]);

await scenario(async (code) => {
  const dialog = code.page.locator(".monaco-dialog-box", { hasText: "Install the coderls server?" });
  const answer = (name) => dialog.getByRole("button", { name, exact: true }).click();
  const progress = code.page.locator(".notification-list-item", { hasText: /Installing the coderls server/ }).first();
  const walkthrough = code.page.getByText("Code completion and repair from a model on your own machine.").first();

  // The walkthrough comes by itself. The Python extension's environment has a server.
  await code.open(undefined, null);
  await walkthrough.waitFor();
  await code.status(/coderls: fake on cpu/);
  same(programs(), [given.active], "the server of the active environment runs");

  // None is chosen any more. The walkthrough's first button leads on.
  let mark = await code.states();
  set({ "python.defaultInterpreterPath": "" });
  await code.passed(mark, /no server/);
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

  // One that does, and takes its time. The user is asked first, and may say no, then or in the middle of it.
  python('if [ "$1 $2" = "-m venv" ]; then /bin/mkdir -p "$3/bin"; /bin/sleep 600; fi', `exec ${given.python} "$@"`);
  await code.menu("Install the server");
  await dialog.getByRole("button", { name: "With CUDA" }).waitFor();
  await code.picture("question");
  mark = await code.states();
  await answer("Cancel");
  await code.passed(mark, /no server/);
  same(made(), [], "environments after a no");
  mark = await code.states();
  await code.menu("Install the server");
  await answer("For the Processor");
  await code.until(() => made().some((name) => name.startsWith("env-")), "an environment is being made");
  await progress.locator(".monaco-button", { hasText: "Cancel" }).click();
  await code.notified(/The installation was stopped\./);
  await code.passed(mark, /installing/, /no server/);
  same(made(), [], "environments after an installation that was stopped");

  // Without a network, and without the wheels that are needed. A whole environment takes seconds: this one is used again.
  const kept = path.join(given.bin, "..", "kept");
  python(
    'if [ "$1 $2" != "-m venv" ]; then',
    `  exec ${given.python} "$@"`,
    `elif [ -d ${kept} ]; then`,
    `  exec /bin/cp -a ${kept} "$3"`,
    "fi",
    `${given.python} "$@" && /bin/cp -a "$3" ${kept}`,
  );
  mark = await code.states();
  set({ "coderls.server.wheels": given.empty });
  await code.passed(mark, /looking for the server/, /no server/);
  await code.menu("Install the server");
  await answer("Install");
  await code.notified(/A package was not found\. Without a network, name a folder of wheels/);
  await code.status(/coderls: no server/);
  same(made(), [], "environments after a failure");

  // With them.
  mark = await code.states();
  set({ "coderls.server.wheels": given.wheels });
  await code.passed(mark, /looking for the server/, /no server/);
  await code.menu("Install the server");
  await answer("Install");
  await progress.waitFor();
  await code.picture("installing");
  await code.passed(mark, /installing/, /coderls: fake on cpu/);
  const [environment, ...others] = made();
  same(others, [], "environments after an installation, beside the first");
  holds(fs.existsSync(path.join(OWN, environment, "installed.json")), "it is marked as whole");
  same(programs(), [path.join(OWN, environment, "bin", "python")], "the server of its own environment runs");

  // A file without a name, in this window without a folder.
  await code.command("New Untitled Text File");
  await code.editor();
  await code.command("Change Language Mode");
  await code.page.locator(".quick-input-widget input").fill("Python");
  await code.choose("Python");
  await code.end();
  await code.type("sum_of_both = ");
  await code.ghost("a + b");
  await code.picture("untitled");
  await code.press("Tab");
  await code.drawn("sum_of_both = a + b");
  await code.command("coderls: Get Started");
  await walkthrough.waitFor();
});
