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
  itRunsWhereTheCodeIs(extension);
  await ghostTextIsProvided();
  await aLineAndAWordAreTaken();
  await theNextEditIsOfferedAndTaken(api);
  await otherSchemesAreLeftAlone();
  await aThousandFilesAreOpened(api);
  await aRestartWorksEachTime(api);
}

/** Each command of the manifest is registered, and no key is taken but where a next edit or a preview is shown. */
async function commandsAreThere(extension: vscode.Extension<Api>): Promise<void> {
  const { contributes } = extension.packageJSON as { contributes: { commands: { command: string }[]; keybindings: { when: string }[] } };
  const known = new Set(await vscode.commands.getCommands(true));
  for (const { command } of contributes.commands) assert.ok(known.has(command), `${command} is not registered`);
  for (const { when } of contributes.keybindings) assert.match(when, /^coderls\.(nextEditOffered && editorTextFocus|previewing && resourceScheme == '?coderls-preview'?$)/);
}

function settingsOfTheManifestAreKnown(extension: vscode.Extension<Api>): void {
  const { contributes } = extension.packageJSON as { contributes: { configuration: { properties: Record<string, { default: unknown; scope: string }> }[] } };
  for (const [key, setting] of contributes.configuration.flatMap((group) => Object.entries(group.properties))) {
    assert.deepEqual(vscode.workspace.getConfiguration().inspect(key)?.defaultValue, setting.default, key);
    if (key.startsWith("coderls.engine.")) assert.equal(setting.scope, "machine", key);
  }
}

/** The window is a browser's, the folder is on another side: that is where the extension and its server run. */
function itRunsWhereTheCodeIs(extension: vscode.Extension<Api>): void {
  assert.equal(vscode.env.uiKind, vscode.UIKind.Web);
  assert.ok(vscode.env.remoteName, "this window is not a remote one");
  assert.equal(extension.extensionKind, vscode.ExtensionKind.Workspace);
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(folder && fs.existsSync(path.join(folder.uri.fsPath, "pyproject.toml")));
}

async function ghostTextIsProvided(): Promise<void> {
  const document = await written("def add(a, b):\n    return ");
  await took("editor.action.inlineSuggest.commit", document, "return a + b");
}

/** Ghost text of two lines is taken line by line, and word by word. */
async function aLineAndAWordAreTaken(): Promise<void> {
  const lines = await written("if block:\n    ");
  await took("editor.action.inlineSuggest.acceptNextLine", lines, "first = 1");
  assert.equal(lines.getText().includes("second"), false, "more than a line was taken");
  await took("editor.action.inlineSuggest.commit", lines, "second = 2");
  const words = await written("def add(a, b):\n    return ");
  await took("editor.action.inlineSuggest.acceptNextWord", words, "return a");
  assert.equal(words.getText().includes("+ b"), false, "more than a word was taken");
}

/** A new document with this text, and the cursor at its end. */
async function written(content: string): Promise<vscode.TextDocument> {
  const document = await vscode.workspace.openTextDocument({ language: "python", content });
  const editor = await vscode.window.showTextDocument(document);
  const end = document.positionAt(content.length);
  editor.selection = new vscode.Selection(end, end);
  await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
  return document;
}

/** A command takes of the ghost text, as soon as there is some, so that the document holds this. */
async function took(command: string, document: vscode.TextDocument, text: string): Promise<void> {
  await until(
    async () => {
      await vscode.commands.executeCommand(command);
      return document.getText().includes(text);
    },
    () => `${command} in ${JSON.stringify(document.getText())}`,
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

/** A renamed parameter: its next use is shown, gone to, taken, and what is dismissed stays away. */
async function theNextEditIsOfferedAndTaken(api: Api): Promise<void> {
  const document = await written("def f(count):\n    x = 1\n    return count + count\n\n\ndef g(low):\n    return low\n");
  const editor = vscode.window.activeTextEditor;
  assert.ok(editor?.document === document);
  const rename = async (line: number, from: number, to: number, text: string): Promise<void> => {
    assert.ok(await editor.edit((builder) => { builder.replace(new vscode.Range(line, from, line, to), text); }));
    editor.selection = new vscode.Selection(line + 1, 0, line + 1, 0);
  };
  const offered = (line: number | undefined): Promise<void> =>
    until(() => api.nextEdit()?.line === line, () => `a next edit in line ${String(line)}, but ${JSON.stringify(api.nextEdit())}`);
  await rename(0, 6, 11, "total");
  await offered(2);
  assert.equal(api.nextEdit()?.reason, "`count` became `total`");
  await vscode.commands.executeCommand("coderls.nextEdit");
  assert.deepEqual([editor.selection.active.line, editor.selection.active.character], [2, 11]);
  await vscode.commands.executeCommand("coderls.nextEdit");
  await until(() => document.getText().includes("return total + count"), () => document.getText());
  await offered(2);
  await vscode.commands.executeCommand("coderls.nextEdit"); // goes
  await vscode.commands.executeCommand("coderls.nextEdit"); // takes
  await until(() => document.getText().includes("return total + total"), () => document.getText());
  await offered(undefined);
  await rename(5, 6, 9, "high");
  await offered(6);
  await vscode.commands.executeCommand("coderls.dismissNextEdit");
  await offered(undefined);
  assert.ok(document.getText().includes("    return low"));
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
