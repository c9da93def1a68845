// Servers of other versions: what both know works, and the user is told.

import { given, scenario, set } from "./harness.mjs";

set({ "coderls.server.command": given.newer });

await scenario(async (code) => {
  await code.open("versions.py");
  await code.status(/coderls: fake on cpu/);
  await code.notified(/The coderls server is version 9\.8\.7, and this extension is \d+\.\d+\.\d+\. What both know works\./);
  await code.end();
  await code.type("sum_of_both = ");
  await code.ghost("a + b");
  await code.press("Tab");
  await code.drawn("sum_of_both = a + b");

  // One that is older than the status, the panel and the pause.
  set({ "coderls.server.command": given.older });
  await code.status(/coderls: running/);
  await code.picture("older");
  await code.end();
  await code.type("\none = ");
  // It does not say when its engine is ready.
  await code.insist("'first'");
  await code.press("Escape");
  await code.menu("Show context");
  await code.webview("No completion yet");
  await code.menu("Pause");
  await code.status(/coderls: running/);
});
