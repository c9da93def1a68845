// The panel with the context of a file's last completion.

import * as vscode from "vscode";
import { contextHtml, isExplained, OPEN_LINES } from "./contextHtml";
import { EXPLAIN, type RunningServer } from "./server";

export class ContextPanel implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  private document: vscode.TextDocument | undefined;

  constructor(private readonly server: () => RunningServer | undefined) {}

  /** Show the context of the last completion in the active file, or in the one that was shown before. */
  async show(): Promise<void> {
    const document = vscode.window.activeTextEditor?.document ?? this.document;
    if (document === undefined) {
      void vscode.window.showInformationMessage("coderls: open a file first. Its last completion is explained here.");
      return;
    }
    this.document = document;
    const server = this.server();
    const explained = server === undefined ? undefined : await server.command(EXPLAIN, server.uriOf(document));
    const html = contextHtml(vscode.workspace.asRelativePath(document.uri), isExplained(explained) ? explained : undefined);
    if (this.panel === undefined) {
      this.panel = vscode.window.createWebviewPanel(
        "coderls.context",
        "coderls: Context",
        { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
        { enableScripts: false, enableCommandUris: [OPEN_LINES], localResourceRoots: [] },
      );
      this.panel.onDidDispose(() => (this.panel = undefined));
    } else {
      this.panel.reveal(undefined, true);
    }
    this.panel.webview.html = html;
  }

  /** Open lines of a file that a prompt named. Its path is relative to a folder of the workspace. */
  async open(path: unknown, first: unknown, last: unknown): Promise<void> {
    if (typeof path !== "string" || typeof first !== "number" || typeof last !== "number") return;
    const uri = await this.find(path);
    if (uri === undefined) {
      void vscode.window.showInformationMessage(`coderls: ${path} is not there any more.`);
      return;
    }
    const document = await vscode.workspace.openTextDocument(uri);
    const end = Math.min(Math.max(last, first), document.lineCount);
    const lines = new vscode.Range(Math.max(0, first - 1), 0, end - 1, document.lineAt(end - 1).text.length);
    await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.One, selection: lines });
  }

  dispose(): void {
    this.panel?.dispose();
  }

  private async find(path: string): Promise<vscode.Uri | undefined> {
    const own = this.document;
    if (own !== undefined && (own.isUntitled || own.uri.path.endsWith(`/${path}`))) return own.uri;
    const folders = vscode.workspace.workspaceFolders ?? [];
    const home = own === undefined ? undefined : vscode.workspace.getWorkspaceFolder(own.uri);
    const roots = [...folders].sort((one, other) => Number(other === home) - Number(one === home));
    for (const root of roots) {
      const uri = vscode.Uri.joinPath(root.uri, path);
      // A path of the index is within its folder; this one may come from anywhere.
      if (!uri.path.startsWith(`${root.uri.path.replace(/\/$/, "")}/`)) continue;
      const there = await vscode.workspace.fs.stat(uri).then(
        () => true,
        () => false,
      );
      if (there) return uri;
    }
    return undefined;
  }
}
