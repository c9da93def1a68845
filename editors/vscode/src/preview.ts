// What a model wrote, beside the file that it would change: a diff, and nothing is changed before the user says so.
//
// VS Code has a preview of its own for edits that need a confirmation, which leaves every box of theirs empty: its "Apply"
// then applies nothing. Here one click is enough, and the whole change is seen.

import * as path from "node:path";
import * as vscode from "vscode";
import type { ApplyWorkspaceEditParams, TextEdit } from "vscode-languageclient/node";

const SCHEME = "coderls-preview";
/** Set while there is a preview. */
const SHOWN = "coderls.previewing";
const APPLY = "Apply";
const DISCARD = "Discard";

/** An edit that is to be seen first, as the server sent it. */
export interface Asked {
  uri: string;
  version: number | null;
  edits: TextEdit[];
  /** What it does, and what is known of it. */
  label: string;
  evidence: string;
}

/** What of a `workspace/applyEdit` has to be seen first; undefined where it can be applied as it is. */
export function askedFirst(params: ApplyWorkspaceEditParams): Asked | undefined {
  const notes = Object.values(params.edit.changeAnnotations ?? {});
  const [change, ...others] = params.edit.documentChanges ?? [];
  if (!notes.some((note) => note.needsConfirmation) || change === undefined || !("edits" in change) || others.length > 0) return undefined;
  return {
    uri: change.textDocument.uri,
    version: change.textDocument.version,
    edits: change.edits.filter((edit): edit is TextEdit => "newText" in edit),
    label: params.label ?? notes[0]?.label ?? "",
    evidence: notes.map((note) => note.description ?? "").join(" "),
  };
}

interface Shown {
  file: vscode.Uri;
  version: number;
  edits: readonly vscode.TextEdit[];
  after: string;
  decide: (applied: boolean) => void;
}

export class Previews implements vscode.Disposable, vscode.TextDocumentContentProvider {
  private readonly shown = new Map<string, Shown>();
  private number = 0;
  private readonly opened = new vscode.EventEmitter<void>();
  /** A preview is there: what made it has done its work. */
  readonly onDidOpen = this.opened.event;
  private readonly listeners = vscode.Disposable.from(
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
    vscode.window.tabGroups.onDidChangeTabs(({ closed }) => {
      for (const tab of closed) this.end(previewIn(tab), false);
    }),
    this.opened,
  );

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.shown.get(uri.toString())?.after ?? "";
  }

  /** Show it. Whether the user took it, and it could be applied. */
  async offer(asked: Asked, file: vscode.Uri, edits: readonly vscode.TextEdit[]): Promise<boolean> {
    const document = await vscode.workspace.openTextDocument(file);
    if (asked.version !== null && asked.version !== document.version) return false;
    const preview = file.with({ scheme: SCHEME, query: String(++this.number) });
    const decided = new Promise<boolean>((decide) => {
      this.shown.set(preview.toString(), { file, version: document.version, edits, after: edited(document, edits), decide });
    });
    await vscode.commands.executeCommand("setContext", SHOWN, true);
    const right = await vscode.workspace.openTextDocument(preview);
    if (right.languageId !== document.languageId) await vscode.languages.setTextDocumentLanguage(right, document.languageId);
    await vscode.commands.executeCommand("vscode.diff", file, preview, `${path.posix.basename(file.path)}: ${asked.label}`, { preview: true });
    this.opened.fire();
    void vscode.window.showInformationMessage([`coderls: ${asked.label}`, asked.evidence].join(". "), APPLY, DISCARD).then((answer) => {
      if (answer !== undefined) void this.close(preview, answer === APPLY);
    });
    return decided;
  }

  /** Apply the preview that is in front, or leave it. */
  async decide(apply: boolean): Promise<void> {
    const preview = previewIn(vscode.window.tabGroups.activeTabGroup.activeTab);
    if (preview !== undefined) await this.close(preview, apply);
  }

  dispose(): void {
    for (const key of [...this.shown.keys()]) this.end(vscode.Uri.parse(key), false);
    this.listeners.dispose();
  }

  private async close(preview: vscode.Uri, apply: boolean): Promise<void> {
    const shown = this.shown.get(preview.toString());
    if (shown === undefined) return; // decided already
    const applied = apply && (await applies(shown));
    this.end(preview, applied);
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
    await vscode.window.tabGroups.close(tabs.filter((tab) => previewIn(tab)?.toString() === preview.toString()));
    await vscode.window.showTextDocument(shown.file);
  }

  private end(preview: vscode.Uri | undefined, applied: boolean): void {
    const key = preview?.toString() ?? "";
    this.shown.get(key)?.decide(applied);
    this.shown.delete(key);
    if (this.shown.size === 0) void vscode.commands.executeCommand("setContext", SHOWN, false);
  }
}

async function applies(shown: Shown): Promise<boolean> {
  const document = await vscode.workspace.openTextDocument(shown.file);
  if (document.version !== shown.version) {
    void vscode.window.showWarningMessage("coderls: the file was changed since this preview was made, so nothing was applied. Ask again.");
    return false;
  }
  const edit = new vscode.WorkspaceEdit();
  edit.set(shown.file, [...shown.edits]);
  return vscode.workspace.applyEdit(edit);
}

/** The document with edits in it, which do not overlap. */
function edited(document: vscode.TextDocument, edits: readonly vscode.TextEdit[]): string {
  let text = document.getText();
  for (const edit of [...edits].sort((one, other) => other.range.start.compareTo(one.range.start))) {
    text = text.slice(0, document.offsetAt(edit.range.start)) + edit.newText + text.slice(document.offsetAt(edit.range.end));
  }
  return text;
}

/** The preview that a tab shows, if it does. */
function previewIn(tab: vscode.Tab | undefined): vscode.Uri | undefined {
  return tab?.input instanceof vscode.TabInputTextDiff && tab.input.modified.scheme === SCHEME ? tab.input.modified : undefined;
}
