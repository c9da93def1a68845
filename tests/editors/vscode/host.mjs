// Tests that run inside of VS Code's extension host (`editors/vscode/test/host`, built by `make vscode`), in a second window
// on the folder. The first one goes on meanwhile.

import * as path from "node:path";
import { Code, given, scenario } from "./harness.mjs";

await scenario(async (code) => {
  await code.open("two.py");
  await code.status(/coderls: fake on cpu/);
  const other = new Code(await code.context.newPage(), code.context);
  await other.prepare();
  const said = [];
  let ended;
  const end = new Promise((resolve) => (ended = resolve));
  await other.page.exposeFunction("codeAutomationLog", (kind, args) => said.push(`${kind}: ${args.join(" ")}`));
  await other.page.exposeFunction("codeAutomationExit", (status) => ended(status));
  const remote = `vscode-remote://127.0.0.1:${given.port}`;
  const payload = [
    ["extensionDevelopmentPath", `${remote}${given.extension}`],
    ["extensionTestsPath", `${remote}${path.join(given.extension, "dist", "host", "index.js")}`],
  ];
  await other.visit(given.work, payload);
  let clock;
  const late = new Promise((_, reject) => (clock = setTimeout(() => reject(new Error("the tests did not end")), 4 * code.patience)));
  const status = await Promise.race([end, late]).catch((error) => String(error));
  clearTimeout(clock); // it would keep this process from its end
  const errors = said.filter((line) => line.startsWith("error") && !line.includes("bindings file")).slice(-10);
  if (status !== 0) throw new Error(`the tests in the host ended with ${status}:\n${errors.join("\n")}`);

  await code.page.bringToFront();
  await code.end();
  await code.type("sum_of_both = ");
  await code.ghost("a + b");
  await code.press("Tab");
  await code.drawn("sum_of_both = a + b");
});
