// The edit that follows from the last ones: shown in its place, gone to and taken by one command, dismissed by another.

import * as vscode from "vscode";
import type { RunningServer } from "./server";
import { SECTION } from "./settings";
import { ghostOf, hintOf, isNextEdit, reasonOf, stepAt, type NextEdit } from "./nextEditText";

/** Set while an edit is offered in the active editor. Keys are bound under it. */
const OFFERED = "coderls.nextEditOffered";
const REJECTED = "coderls.rejected";
/** The cursor rests so long before the server is asked (milliseconds). */
const REST_MS = 120;

export class NextEdits implements vscode.Disposable {
  private offered: { edit: NextEdit; editor: vscode.TextEditor } | undefined;
  private asking: vscode.CancellationTokenSource | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Documents that were changed: in the others nothing follows. */
  private readonly changed = new WeakSet<vscode.TextDocument>();
  private readonly gone = vscode.window.createTextEditorDecorationType({
    textDecoration: "line-through",
    opacity: "0.5",
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
  private readonly ghost = vscode.window.createTextEditorDecorationType({
    after: { color: new vscode.ThemeColor("editorGhostText.foreground"), fontStyle: "italic" },
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
  private readonly hint = vscode.window.createTextEditorDecorationType({
    after: { color: new vscode.ThemeColor("editorGhostText.foreground"), fontStyle: "italic" },
  });
  private readonly listeners: vscode.Disposable;

  /** `server` gives the one that runs now. */
  constructor(private readonly server: () => RunningServer | undefined) {
    this.listeners = vscode.Disposable.from(
      vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (contentChanges.length === 0) return;
        this.changed.add(document);
        if (document === this.offered?.editor.document) this.clear();
        if (document === vscode.window.activeTextEditor?.document) this.later();
      }),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => {
        if (textEditor !== vscode.window.activeTextEditor) return;
        this.draw();
        this.later();
      }),
      vscode.window.onDidChangeTextEditorVisibleRanges(({ textEditor }) => {
        if (textEditor === this.offered?.editor) this.draw();
      }),
      vscode.window.onDidChangeActiveTextEditor(() => {
        this.clear();
        this.later();
      }),
    );
  }

  /** What is offered in the active editor. */
  get current(): NextEdit | undefined {
    return this.offered?.edit;
  }

  /** Why it is offered, in a few words; "" where nothing is. */
  get reason(): string {
    return this.offered === undefined ? "" : reasonOf(this.offered.edit);
  }

  /** The server has found something by itself, or is another one now. */
  again(): void {
    this.later();
  }

  /** Go to the edit; from there, take it. */
  async next(): Promise<void> {
    const offered = this.offered;
    if (offered === undefined || vscode.window.activeTextEditor !== offered.editor) return;
    const { edit, editor } = offered;
    const range = rangeOf(edit);
    const inSight = editor.visibleRanges.some((visible) => visible.contains(range.start));
    if (stepAt(editor.selection.active, edit) === "go" || !inSight) {
      editor.selection = new vscode.Selection(range.start, range.start);
      editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
      this.draw();
      return;
    }
    if (editor.document.version !== edit.textDocument.version) return;
    this.clear();
    const taken = await editor.edit((builder) => {
      builder.replace(range, edit.newText);
    });
    if (taken) await this.ask(false); // the hand is on the key of this command: the word is not being typed
  }

  /** Not this one. The same is not offered again for a while. */
  async dismiss(): Promise<void> {
    const edit = this.offered?.edit;
    this.clear();
    if (edit !== undefined) await this.server()?.command(REJECTED, edit.id);
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.asking?.cancel();
    this.listeners.dispose();
    for (const type of [this.gone, this.ghost, this.hint]) type.dispose();
  }

  private later(): void {
    clearTimeout(this.timer);
    this.asking?.cancel();
    const document = vscode.window.activeTextEditor?.document;
    if (document === undefined || !this.changed.has(document)) return;
    this.timer = setTimeout(() => void this.ask(true), REST_MS);
  }

  private async ask(typing: boolean): Promise<void> {
    clearTimeout(this.timer);
    this.asking?.cancel();
    const asking = (this.asking = new vscode.CancellationTokenSource());
    const editor = vscode.window.activeTextEditor;
    const server = this.server();
    if (editor === undefined || server === undefined || !this.isOn(editor)) {
      this.clear();
      return;
    }
    const { document } = editor;
    const version = document.version;
    const answer = await server.nextEdit(document, editor.selection.active, typing, asking.token).catch(() => undefined);
    if (asking.token.isCancellationRequested || editor !== vscode.window.activeTextEditor) return;
    if (!isNextEdit(answer) || document.version !== version || answer.textDocument.version !== version) {
      this.clear();
      return;
    }
    this.offered = { edit: answer, editor };
    await vscode.commands.executeCommand("setContext", OFFERED, true);
    this.draw();
  }

  private isOn(editor: vscode.TextEditor): boolean {
    return vscode.workspace.getConfiguration(SECTION, editor.document).get<boolean>("next_edit.enabled", true);
  }

  private clear(): void {
    const offered = this.offered;
    if (offered === undefined) return;
    this.offered = undefined;
    for (const type of [this.gone, this.ghost, this.hint]) offered.editor.setDecorations(type, []);
    void vscode.commands.executeCommand("setContext", OFFERED, false);
  }

  private draw(): void {
    if (this.offered === undefined) return;
    const { edit, editor } = this.offered;
    const range = rangeOf(edit);
    const said = new vscode.MarkdownString();
    said.appendText(["coderls: next edit", reasonOf(edit), ...edit.evidence].join("\n\n"));
    if (edit.newText.includes("\n")) said.appendCodeblock(edit.newText, editor.document.languageId);
    editor.setDecorations(this.gone, range.isEmpty ? [] : [{ range, hoverMessage: said }]);
    const end = new vscode.Range(range.end, range.end);
    const text = ghostOf(edit);
    editor.setDecorations(this.ghost, text === "" ? [] : [{ range: end, renderOptions: { after: { contentText: text } } }]);
    const cursor = editor.selection.active.line;
    const hidden = !editor.visibleRanges.some((visible) => visible.intersection(range) !== undefined);
    const lineEnd = editor.document.lineAt(cursor).range.end;
    const hint = { range: new vscode.Range(lineEnd, lineEnd), renderOptions: { after: { contentText: hintOf(edit, cursor) } } };
    editor.setDecorations(this.hint, hidden ? [hint] : []);
  }
}

function rangeOf(edit: NextEdit): vscode.Range {
  const { start, end } = edit.range;
  return new vscode.Range(start.line, start.character, end.line, end.character);
}
