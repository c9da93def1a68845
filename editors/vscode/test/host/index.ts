// Runs inside of VS Code's extension host. What fails throws, and ends the run.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";
import type { Api } from "../../src/extension";

const ID = "coderls.coderls";
const PATIENCE_MS = 90_000;

export async function run(): Promise<void> {
  const extension = vscode.extensions.getExtension<Api>(ID);
  assert.ok(extension, "the extension is not there");
  const api = await extension.activate();
  await until(() => api.shown().kind === "ready", () => `ready, but ${JSON.stringify(api.shown())}`);

  await commandsAreThere(extension);
  settingsOfTheManifestAreKnown(extension);
  await ghostTextIsProvided();
  await otherSchemesAreLeftAlone();
  await aThousandFilesAreOpened(api);
  await aRestartWorksEachTime(api);
}

/** Each command of the manifest is registered, and no key is taken. */
async function commandsAreThere(extension: vscode.Extension<Api>): Promise<void> {
  const { contributes } = extension.packageJSON as { contributes: { commands: { command: string }[]; keybindings?: unknown } };
  const known = new Set(await vscode.commands.getCommands(true));
  for (const { command } of contributes.commands) assert.ok(known.has(command), `${command} is not registered`);
  assert.equal(contributes.keybindings, undefined);
}

function settingsOfTheManifestAreKnown(extension: vscode.Extension<Api>): void {
  const { contributes } = extension.packageJSON as { contributes: { configuration: { properties: Record<string, { default: unknown; scope: string }> }[] } };
  for (const [key, setting] of contributes.configuration.flatMap((group) => Object.entries(group.properties))) {
    assert.deepEqual(vscode.workspace.getConfiguration().inspect(key)?.defaultValue, setting.default, key);
    if (key.startsWith("coderls.engine.")) assert.equal(setting.scope, "machine", key);
  }
}

async function ghostTextIsProvided(): Promise<void> {
  const document = await vscode.workspace.openTextDocument({ language: "python", content: "def add(a, b):\n    return " });
  await vscode.window.showTextDocument(document);
  const end = document.positionAt(document.getText().length);
  const editor = vscode.window.activeTextEditor;
  assert.ok(editor);
  editor.selection = new vscode.Selection(end, end);
  await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
  await until(
    async () => {
      await vscode.commands.executeCommand("editor.action.inlineSuggest.commit");
      return document.getText().includes("return a + b");
    },
    () => `the ghost text in ${JSON.stringify(document.getText())}`,
  );
}

/** A document of another extension (an older version in git, an output) is not completed, and nothing fails. */
async function otherSchemesAreLeftAlone(): Promise<void> {
  const provider = vscode.workspace.registerTextDocumentContentProvider("other", { provideTextDocumentContent: () => "def add(a, b):\n    return " });
  const document = await vscode.workspace.openTextDocument(vscode.Uri.parse("other:/file.py"));
  await vscode.window.showTextDocument(document);
  await vscode.commands.executeCommand("coderls.showContext");
  provider.dispose();
}

async function aThousandFilesAreOpened(api: Api): Promise<void> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "coderls-many-"));
  const files = Array.from({ length: 1000 }, (_, number) => path.join(folder, `value_${String(number)}.py`));
  for (const file of files) fs.writeFileSync(file, "value = 1\n");
  // One after another: VS Code drops documents that nobody shows, and of many at once it may drop one that it hands over.
  for (const file of files) await vscode.workspace.openTextDocument(file);
  await ghostTextIsProvided();
  assert.equal(api.shown().kind, "ready");
  fs.rmSync(folder, { recursive: true });
}

async function aRestartWorksEachTime(api: Api): Promise<void> {
  await Promise.all([1, 2, 3].map(() => vscode.commands.executeCommand("coderls.restart")));
  await until(() => api.shown().kind === "ready", () => `ready after restarts, but ${JSON.stringify(api.shown())}`);
  assert.equal(api.server()?.running, true);
}

/** Wait for a state. */
async function until(condition: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`it did not come to this: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
