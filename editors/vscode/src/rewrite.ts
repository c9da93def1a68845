// Rewrite code by an instruction: one line of input, and the server does the rest.

import * as vscode from "vscode";
import type { Previews } from "./preview";
import { REWRITE, type RunningServer } from "./server";

let last = "";

/** The user's instruction; undefined: they have none after all. */
export async function askInstruction(): Promise<string | undefined> {
  const instruction = await vscode.window.showInputBox({
    title: "Rewrite by an instruction",
    prompt: "What is to change? The result is shown before anything is written.",
    placeHolder: "use a set instead of a list",
    value: last,
    validateInput: (text) => (text.trim() ? undefined : "Say what is to change."),
  });
  if (instruction !== undefined) last = instruction;
  return instruction;
}

/** Rewrite the selection, or the line of the cursor. */
export async function rewriteSelection(server: RunningServer | undefined, previews: Previews): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined || server === undefined) {
    void vscode.window.showInformationMessage("coderls: open a file and select what is to be rewritten.");
    return;
  }
  if (!server.has(REWRITE)) {
    void vscode.window.showInformationMessage("coderls: this server cannot rewrite. Update it from the menu.");
    return;
  }
  const { document, selection } = editor;
  const range = selection.isEmpty ? document.lineAt(selection.active.line).range : new vscode.Range(selection.start, selection.end);
  const target = { uri: server.uriOf(document), version: document.version, range: protocolRange(range) };
  const instruction = await askInstruction();
  if (instruction === undefined) return;
  const options = { location: vscode.ProgressLocation.Notification, title: "coderls: rewriting", cancellable: true };
  let listening: vscode.Disposable | undefined;
  const opened = new Promise<void>((resolve) => {
    listening = previews.onDidOpen(resolve);
  });
  try {
    // The request ends with the user's word on what it made; the work ends before.
    await vscode.window.withProgress(options, (_, token) => Promise.race([server.request(REWRITE, [target, instruction], token), opened]));
  } catch (error) {
    if (error instanceof vscode.CancellationError) return;
    void vscode.window.showErrorMessage(`coderls: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    listening?.dispose();
  }
}

function protocolRange(range: vscode.Range): object {
  const point = (position: vscode.Position): object => ({ line: position.line, character: position.character });
  return { start: point(range.start), end: point(range.end) };
}
