// What runs the server's command line: doctor, and the choice of a model.

import * as vscode from "vscode";
import type { Server } from "./locate";
import { run, type Ended } from "./run";
import { asArguments, SECTION } from "./settings";

interface ModelRow {
  name: string;
  size: number;
  licence: string;
  state: string;
  path: string | null;
}

/** A read-only document with the last report of the doctor. */
export class Reports implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  private readonly registration: vscode.Disposable;
  private readonly uri = vscode.Uri.parse("coderls-report:coderls doctor");
  private text = "";
  readonly onDidChange = this.changed.event;

  constructor() {
    this.registration = vscode.workspace.registerTextDocumentContentProvider("coderls-report", this);
  }

  provideTextDocumentContent(): string {
    return this.text;
  }

  async show(text: string): Promise<void> {
    this.text = text;
    this.changed.fire(this.uri);
    await vscode.window.showTextDocument(this.uri, { preview: true, viewColumn: vscode.ViewColumn.Beside });
  }

  dispose(): void {
    this.registration.dispose();
    this.changed.dispose();
  }
}

/** Run `coderls doctor` with the user's settings, and show what it says. */
export async function runDoctor(server: Server, cwd: string, reports: Reports, keys: readonly string[]): Promise<void> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  const where = folder === undefined ? [] : ["--folder", folder];
  const ended = await busy("Running coderls doctor", server, ["doctor", ...asArguments(keys), ...where], cwd);
  if (ended === undefined) return;
  const head = `coderls doctor, run by ${server.from}\n\n`;
  await reports.show(head + (ended.stdout.trim() || ended.stderr.trim() || String(ended.error ?? "It said nothing.")) + "\n");
}

/** Let the user choose a model of this machine, or fetch one, and keep the choice as a setting. */
export async function chooseModel(server: Server, cwd: string): Promise<void> {
  const ended = await busy("Looking for models", server, ["models", "list", "--all", "--json"], cwd);
  if (ended === undefined) return;
  const rows = rowsOf(ended.stdout);
  if (rows === undefined) {
    void vscode.window.showErrorMessage(`coderls models list failed: ${ended.stderr.trim() || String(ended.error ?? "no reason given")}`);
    return;
  }
  const settings = vscode.workspace.getConfiguration(SECTION);
  const now = settings.get<string>("engine.model", "");
  const items = rows.map((row) => ({
    label: row.name === now ? `$(check) ${row.name}` : row.name,
    description: `${(row.size / 1e9).toFixed(1)} GB, ${row.licence}`,
    detail: row.state,
    row,
  }));
  const folder = { label: "$(folder) A directory…", description: "a checkpoint in Hugging Face's format", detail: "", row: undefined };
  const chosen = await vscode.window.showQuickPick([...items, folder], {
    title: "The model that completes",
    placeHolder: "Larger models know more, and need more memory and a faster machine",
  });
  if (chosen === undefined) return;
  const name = chosen.row === undefined ? await pickFolder() : chosen.row.name;
  if (name === undefined) return;
  if (chosen.row?.state === "can be pulled" && !(await pull(server, chosen.row, cwd))) return;
  await settings.update("engine.model", name, vscode.ConfigurationTarget.Global);
}

function rowsOf(output: string): ModelRow[] | undefined {
  try {
    const rows: unknown = JSON.parse(output);
    return Array.isArray(rows) ? (rows as ModelRow[]) : undefined;
  } catch {
    return undefined;
  }
}

async function pickFolder(): Promise<string | undefined> {
  const picked = await vscode.window.showOpenDialog({ canSelectFiles: false, canSelectFolders: true, openLabel: "Use This Model" });
  return picked?.[0]?.fsPath;
}

/** Fetch a model, after the user's yes. Whether it is there now. */
async function pull(server: Server, row: ModelRow, cwd: string): Promise<boolean> {
  const detail = `${(row.size / 1e9).toFixed(1)} GB are fetched from the model hub. Licence: ${row.licence}.`;
  const yes = await vscode.window.showInformationMessage(`Fetch ${row.name}?`, { modal: true, detail }, "Fetch");
  if (yes === undefined) return false;
  const ended = await busy(`Fetching ${row.name}`, server, ["models", "pull", row.name], cwd);
  if (ended === undefined) return false;
  if (ended.code === 0) return true;
  void vscode.window.showErrorMessage(`${row.name} was not fetched. ${ended.stderr.trim().split("\n").at(-1) ?? ""}`);
  return false;
}

/** Run `coderls ARGS` behind a progress bar that can be cancelled; undefined when it was, or cannot be run. */
async function busy(title: string, server: Server, args: string[], cwd: string): Promise<Ended | undefined> {
  const tool = server.tool;
  if (tool === undefined) {
    void vscode.window.showErrorMessage("The setting coderls.server.command does not end with --stdio, so other commands of coderls cannot be run.");
    return undefined;
  }
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  return vscode.window.withProgress(options, async (progress, token) => {
    const stop = new AbortController();
    token.onCancellationRequested(() => {
      stop.abort();
    });
    const onLine = (line: string): void => {
      progress.report({ message: line.trim().slice(0, 100) });
    };
    const env = { ...process.env, PYTHONUTF8: "1", PYTHONSAFEPATH: "1", NO_COLOR: "1" };
    const ended = await run(tool.command, [...tool.args, ...args], { cwd, env, signal: stop.signal, onLine });
    return stop.signal.aborted ? undefined : ended;
  });
}
