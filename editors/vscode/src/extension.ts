// The extension's beginning and end, and its commands.

import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { ContextPanel } from "./contextPanel";
import { OPEN_LINES } from "./contextHtml";
import { ownPython } from "./environment";
import { choosePython, explainNoPython, installServer } from "./installing";
import { isServer, locate, pythons, type NoServer, type Places, type Server } from "./locate";
import { showMenu } from "./menu";
import { NextEdits } from "./nextEdit";
import { Previews } from "./preview";
import { activePython, onOtherPython } from "./pythonExtension";
import { askInstruction, rewriteSelection } from "./rewrite";
import { run } from "./run";
import { PAUSE, REWRITE, RunningServer, STATUS } from "./server";
import { SECTION, settingKeys, toggleLanguage } from "./settings";
import type { Shown } from "./status";
import { StatusBar } from "./statusBar";
import { chooseModel, Reports, runDoctor } from "./tools";

/** What tests look at. */
export interface Api {
  shown: () => { kind: string; text: string; detail: string };
  nextEdit: () => { line: number; newText: string; reason: string } | undefined;
  server: () => { running: boolean; version: string; from: string } | undefined;
}

const GREETED = "coderls.greeted";

export async function activate(context: vscode.ExtensionContext): Promise<Api> {
  const log = vscode.window.createOutputChannel("coderls", { log: true });
  const extension = new Extension(context, log);
  context.subscriptions.push(log, extension);
  await extension.begin();
  return extension.api();
}

class Extension implements vscode.Disposable {
  private server: RunningServer | undefined;
  private found: Server | NoServer = { looked: [], pythons: [] };
  private paused = false;
  /** Starts and stops follow each other, however fast they are asked for. */
  private turn: Promise<void> = Promise.resolve();
  private readonly statusBar: StatusBar;
  private readonly panel: ContextPanel;
  private readonly nextEdits: NextEdits;
  private readonly previews = new Previews();
  private readonly reports = new Reports();
  private readonly home: string;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly log: vscode.LogOutputChannel,
  ) {
    this.home = context.globalStorageUri.fsPath;
    this.statusBar = new StatusBar((document) => this.excluded(document));
    this.panel = new ContextPanel(() => this.server);
    this.nextEdits = new NextEdits(() => this.server);
  }

  /** Register everything, and start the server; that it starts is not waited for. */
  async begin(): Promise<void> {
    await fs.promises.mkdir(this.home, { recursive: true });
    this.registerCommands();
    this.context.subscriptions.push(
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration(`${SECTION}.server`)) void this.restart();
      }),
      vscode.workspace.onDidGrantWorkspaceTrust(() => void this.restart()),
      vscode.window.onDidChangeActiveTextEditor(() => {
        this.tell();
      }),
      onOtherPython(() => void this.otherPython()),
    );
    void this.restart().then(() => this.greet());
  }

  api(): Api {
    return {
      shown: () => this.statusBar.shown,
      nextEdit: () => {
        const edit = this.nextEdits.current;
        return edit && { line: edit.range.start.line, newText: edit.newText, reason: edit.reason };
      },
      server: () => this.server && { running: this.server.isRunning, version: this.server.version, from: this.server.found.from },
    };
  }

  dispose(): void {
    this.server?.dispose();
    this.statusBar.dispose();
    this.panel.dispose();
    this.nextEdits.dispose();
    this.previews.dispose();
    this.reports.dispose();
  }

  private registerCommands(): void {
    const commands: Record<string, (...args: unknown[]) => unknown> = {
      "coderls.menu": () => showMenu(this.statusBar.shown, { paused: this.paused, hasLog: !!this.server?.status?.log, version: this.server?.version ?? "", nextEdit: this.nextEdits.reason }),
      "coderls.nextEdit": () => this.nextEdits.next(),
      "coderls.dismissNextEdit": () => this.nextEdits.dismiss(),
      "coderls.togglePause": () => this.togglePause(),
      "coderls.toggleLanguage": () => this.toggleLanguage(),
      "coderls.chooseModel": () => this.withServer((found) => chooseModel(found, this.home)),
      "coderls.showContext": () => this.panel.show(),
      "coderls.showLog": () => {
        this.log.show();
      },
      "coderls.showEngineLog": () => this.showEngineLog(),
      "coderls.runDoctor": () => this.withServer((found) => runDoctor(found, this.home, this.reports, settingKeys(this.context.extension.packageJSON))),
      "coderls.restart": () => this.restart(),
      "coderls.install": () => this.install(),
      "coderls.choosePython": () => choosePython(this.home),
      "coderls.rewriteSelection": () => rewriteSelection(this.server, this.previews),
      "coderls.applyPreview": () => this.previews.decide(true),
      "coderls.discardPreview": () => this.previews.decide(false),
      "coderls.openSettings": () => vscode.commands.executeCommand("workbench.action.openSettings", `@ext:${this.context.extension.id}`),
      "coderls.getStarted": () => vscode.commands.executeCommand("workbench.action.openWalkthrough", `${this.context.extension.id}#start`, false),
      [OPEN_LINES]: (file, first, last) => this.panel.open(file, first, last),
    };
    for (const [name, action] of Object.entries(commands)) {
      this.context.subscriptions.push(vscode.commands.registerCommand(name, action));
    }
  }

  /** Stop the server if there is one, look for it anew, and start it. */
  private restart(): Promise<void> {
    this.turn = this.turn.then(async () => {
      try {
        await this.startAgain();
      } catch (error) {
        this.log.error(error instanceof Error ? error : String(error));
        this.statusBar.show({ kind: "failed", text: "the extension failed", detail: `${String(error)} The log says more.` });
      }
    });
    return this.turn;
  }

  private async startAgain(): Promise<void> {
    await this.server?.stop();
    this.server = undefined;
    this.paused = false;
    this.statusBar.show({ kind: "starting", text: "looking for the server", detail: "" });
    const found = (this.found = await locate(await this.places()));
    if (!isServer(found)) {
      this.log.warn(`No server was found. ${found.looked.join(" ")}`);
      this.statusBar.show({
        kind: "absent",
        text: "no server",
        detail: `The server is not installed, or was not found. ${found.looked.join(" ")} Click to install it.`,
      });
      return;
    }
    const told = (shown: Shown | undefined): void => {
      if (shown === undefined) this.tell();
      else this.statusBar.show(shown);
    };
    const user = { instruction: askInstruction, preview: this.previews.offer.bind(this.previews) };
    const server = new RunningServer(found, this.log, this.home, told, user);
    server.nextEditFound = () => {
      this.nextEdits.again();
    };
    this.server = server;
    if (!(await server.start())) return;
    await vscode.commands.executeCommand("setContext", "coderls.running", true);
    await vscode.commands.executeCommand("setContext", "coderls.canRewrite", server.has(REWRITE));
    this.compareVersions(server);
    this.tell();
  }

  /** Where a server may be, by the settings of now. */
  private async places(): Promise<Places> {
    const settings = vscode.workspace.getConfiguration(SECTION);
    const [active, own] = await Promise.all([activePython(() => void this.otherPython()), ownPython(path.join(this.home, "server"), process.platform)]);
    return {
      command: settings.get<string[]>("server.command", []),
      python: settings.get<string>("server.python", ""),
      ...(active === undefined ? {} : { active }),
      ...(own === undefined ? {} : { own }),
      env: process.env,
      platform: process.platform,
      cwd: this.home,
      exists: fs.existsSync,
      run,
    };
  }

  /** Another interpreter is chosen in the Python extension, or known at last. */
  private async otherPython(): Promise<void> {
    await this.turn;
    if (!isServer(this.found) || this.found.kind === "active") await this.restart();
  }

  /** What the server said last, in the status bar. */
  private tell(): void {
    const status = this.server?.status;
    if (status === undefined) return;
    this.paused = status.state === "paused";
    void this.statusBar.follow(status);
  }

  private async excluded(document: vscode.TextDocument): Promise<string> {
    const server = this.server;
    if (server === undefined || !["file", "untitled", "vscode-notebook-cell"].includes(document.uri.scheme)) return "";
    const answer = await server.command(STATUS, server.uriOf(document)).catch(() => undefined);
    const excluded = (answer as { excluded?: unknown } | undefined)?.excluded;
    return typeof excluded === "string" ? excluded : "";
  }

  /** A server of another version runs, and says so once. */
  private compareVersions(server: RunningServer): void {
    const mine = (this.context.extension.packageJSON as { version: string }).version;
    const same = (version: string): string => version.split(".").slice(0, 2).join(".");
    if (server.version === "" || same(server.version) === same(mine)) return;
    const update = "Update the Server";
    const own = server.found.kind === "own" ? [update] : [];
    const message = `The coderls server is version ${server.version}, and this extension is ${mine}. What both know works.`;
    this.log.warn(message);
    void vscode.window.showWarningMessage(message, ...own).then((answer) => {
      if (answer === update) void this.install();
    });
  }

  private async togglePause(): Promise<void> {
    const server = this.server;
    if (!server?.has(PAUSE)) return;
    await server.command(PAUSE, !this.paused);
  }

  private async toggleLanguage(): Promise<void> {
    const language = vscode.window.activeTextEditor?.document.languageId;
    if (language !== undefined) await toggleLanguage(language);
  }

  private async showEngineLog(): Promise<void> {
    const file = this.server?.status?.log;
    if (!file || !fs.existsSync(file)) {
      void vscode.window.showInformationMessage("coderls: no engine of this machine has written a log yet.");
      return;
    }
    await vscode.window.showTextDocument(vscode.Uri.file(file), { preview: true });
  }

  private async withServer(action: (found: Server) => Promise<void>): Promise<void> {
    if (isServer(this.found)) await action(this.found);
    else await this.install();
  }

  private async install(): Promise<void> {
    const looked: string[] = [];
    const [python] = await pythons(await this.places(), looked);
    if (python === undefined) {
      await explainNoPython(looked);
      return;
    }
    const installer = { context: this.context, log: this.log, root: path.join(this.home, "server") };
    this.statusBar.show({ kind: "installing", text: "installing", detail: "The server is being installed." });
    await installServer(installer, python);
    await this.restart();
  }

  /** On the first start: the walkthrough, unless the user wants none of any extension. */
  private async greet(): Promise<void> {
    if (this.context.globalState.get<boolean>(GREETED)) return;
    await this.context.globalState.update(GREETED, true);
    const wanted = vscode.workspace.getConfiguration("workbench.welcomePage.walkthroughs").get<boolean>("openOnInstall", true);
    if (wanted) await vscode.commands.executeCommand("coderls.getStarted");
  }
}
