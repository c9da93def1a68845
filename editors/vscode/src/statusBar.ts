// The item in the status bar.

import * as vscode from "vscode";
import { appearance, shownOf, type ServerStatus, type Shown } from "./status";

const COLOURS = {
  none: undefined,
  warning: new vscode.ThemeColor("statusBarItem.warningBackground"),
  error: new vscode.ThemeColor("statusBarItem.errorBackground"),
};

export class StatusBar implements vscode.Disposable {
  /** What is shown now. */
  shown: Shown = { kind: "starting", text: "starting", detail: "" };
  private readonly item: vscode.StatusBarItem;
  private question = 0;

  /** `excludedOf` says why nothing is completed in a document: "" for a document where something is. */
  constructor(private readonly excludedOf: (document: vscode.TextDocument) => Promise<string>) {
    this.item = vscode.window.createStatusBarItem("coderls.status", vscode.StatusBarAlignment.Right, 90);
    this.item.name = "coderls";
    this.item.command = "coderls.menu";
    this.show(this.shown);
    this.item.show();
  }

  /** Something about the way to the server. */
  show(shown: Shown): void {
    this.question++; // what was asked before is old
    this.shown = shown;
    const looks = appearance(shown);
    this.item.text = looks.text;
    this.item.tooltip = looks.tooltip;
    this.item.backgroundColor = COLOURS[looks.severity];
    this.item.accessibilityInformation = { label: `coderls: ${shown.text}` };
    void vscode.commands.executeCommand("setContext", "coderls.ready", shown.kind === "ready" || shown.kind === "slow");
  }

  /** What the server said of itself, unless the active file is excluded. */
  async follow(status: ServerStatus): Promise<void> {
    const mine = ++this.question;
    const document = vscode.window.activeTextEditor?.document;
    const excluded = document === undefined ? "" : await this.excludedOf(document);
    if (mine === this.question) this.show(shownOf(status, excluded));
  }

  dispose(): void {
    this.item.dispose();
  }
}
