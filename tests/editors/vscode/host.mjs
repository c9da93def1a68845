// Tests that run inside of VS Code's extension host: `editors/vscode/test/host`, built by `make vscode`.

import * as path from "node:path";
import { given, scenario } from "./harness.mjs";

await scenario(async (code) => {
  const said = [];
  let ended;
  const end = new Promise((resolve) => (ended = resolve));
  await code.page.exposeFunction("codeAutomationLog", (kind, args) => said.push(`${kind}: ${args.join(" ")}`));
  await code.page.exposeFunction("codeAutomationExit", (status) => ended(status));
  const remote = `vscode-remote://127.0.0.1:${given.port}`;
  const payload = [
    ["extensionDevelopmentPath", `${remote}${given.extension}`],
    ["extensionTestsPath", `${remote}${path.join(given.extension, "dist", "host", "index.js")}`],
  ];
  await code.visit(given.work, payload);
  let clock;
  const late = new Promise((_, reject) => (clock = setTimeout(() => reject(new Error("the tests did not end")), 4 * code.patience)));
  const status = await Promise.race([end, late]).catch((error) => String(error));
  clearTimeout(clock); // it would keep this process from its end
  const errors = said.filter((line) => line.startsWith("error") && !line.includes("bindings file")).slice(-10);
  if (status !== 0) throw new Error(`the tests in the host ended with ${status}:\n${errors.join("\n")}`);
});
