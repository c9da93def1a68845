// One server process and the client that talks to it: found, started, stopped, started again when it dies.

import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  ExecuteCommandRequest,
  LanguageClient,
  RevealOutputChannelOn,
  State,
  type ErrorHandler,
  type LanguageClientOptions,
  type LSPAny,
} from "vscode-languageclient/node";
import { Crashes } from "./crashes";
import type { Server } from "./locate";
import { askedFirst, type Previews } from "./preview";
import { forServer, SECTION } from "./settings";
import { isServerStatus, type ServerStatus, type Shown } from "./status";

/** Commands of the server. */
export const EXPLAIN = "coderls.explain";
export const STATUS = "coderls.status";
export const PAUSE = "coderls.pause";
export const REWRITE = "coderls.rewrite";
const ACCEPTED = "coderls.accepted";
const STATUS_SENT = "coderls/status";
const NEXT_EDIT = "coderls/nextEdit";
const NEXT_EDIT_FOUND = "coderls/nextEditFound";

/** So many of the server's last words are kept, for when it does not start. */
const LAST_WORDS = 12;

/** What only the user can say. */
export interface User {
  /** What is to be written; undefined: nothing after all. */
  instruction: () => Promise<string | undefined>;
  /** Whether they want an edit that they have seen. */
  preview: Previews["offer"];
}

export class RunningServer implements vscode.Disposable {
  /** What the server said of itself last. */
  status: ServerStatus | undefined;
  /** Called when there may be a next edit that no key brought about. */
  nextEditFound: () => void = () => undefined;
  private readonly client: LanguageClient;
  private readonly words: string[] = [];
  private readonly crashes = new Crashes();
  private stopped = false;
  private ran = false;

  /** `told` is called each time that there is something else to show. */
  constructor(
    readonly found: Server,
    private readonly log: vscode.LogOutputChannel,
    cwd: string,
    private readonly told: (shown: Shown | undefined) => void,
    private readonly user: User,
  ) {
    const environment = { ...process.env, PYTHONUTF8: "1", PYTHONSAFEPATH: "1" };
    const { command, args } = found;
    this.client = new LanguageClient(SECTION, "coderls", { command, args, options: { cwd, env: environment } }, this.options());
    this.client.registerFeature({
      fillClientCapabilities: (capabilities) => {
        capabilities.experimental = { ...(capabilities.experimental as object | undefined), coderlsStatus: true, coderlsNextEdit: true, coderlsPreview: true };
      },
      initialize: () => undefined,
      getState: () => ({ kind: "static" }),
      clear: () => undefined,
    });
    this.client.onNotification(STATUS_SENT, (status: unknown) => {
      if (!isServerStatus(status)) return;
      this.status = status;
      this.told(undefined);
    });
    this.client.onNotification(NEXT_EDIT_FOUND, () => {
      this.nextEditFound();
    });
    this.client.onDidChangeState(({ newState }) => {
      if (newState === State.Starting) this.status = undefined;
      if (newState === State.Running) this.ran = true;
    });
  }

  /** Starts it. When it cannot be started, that is told, and nothing is thrown. */
  async start(): Promise<boolean> {
    this.told({ kind: "starting", text: "starting", detail: `The server is started from ${this.found.from}.` });
    this.log.info(`Starting ${[this.found.command, ...this.found.args].join(" ")} (found by: ${this.found.from})`);
    try {
      await this.client.start();
    } catch (error) {
      if (!this.stopped) this.failed("the server does not start", error instanceof Error ? error.message : String(error));
      return false;
    }
    if (this.status === undefined && !this.has(STATUS)) {
      this.told({ kind: "untold", text: "running", detail: "This server is older and does not say in which state it is." });
    }
    return true;
  }

  /** The version that the server names; "" where it names none. */
  get version(): string {
    return this.client.initializeResult?.serverInfo?.version ?? "";
  }

  get isRunning(): boolean {
    return this.client.isRunning();
  }

  /** Whether it has a command. Servers of other versions have others. */
  has(command: string): boolean {
    return this.client.initializeResult?.capabilities.executeCommandProvider?.commands.includes(command) ?? false;
  }

  /** Runs a command of the server's; undefined when it has none such, or does not run. */
  async command(name: string, ...args: unknown[]): Promise<unknown> {
    return this.isRunning && this.has(name) ? this.request(name, args) : undefined;
  }

  /** The same, when it is known that the server has the command; it can be cancelled. */
  async request(command: string, args: unknown[], token?: vscode.CancellationToken): Promise<unknown> {
    return this.client.sendRequest(ExecuteCommandRequest.type, { command, arguments: args as LSPAny[] }, token);
  }

  /** The edit that follows from the last ones, as the server says it; undefined where it knows no such thing. */
  async nextEdit(document: vscode.TextDocument, cursor: vscode.Position, typing: boolean, token: vscode.CancellationToken): Promise<unknown> {
    const can = this.client.initializeResult?.capabilities.experimental as { coderlsNextEdit?: unknown } | undefined;
    const ours = ["file", "untitled", "vscode-notebook-cell"].includes(document.uri.scheme);
    if (!this.isRunning || can?.coderlsNextEdit !== true || !ours) return undefined;
    const position = { line: cursor.line, character: cursor.character };
    const textDocument = { uri: this.uriOf(document), version: document.version };
    return this.client.sendRequest(NEXT_EDIT, { textDocument, position, typing }, token);
  }

  uriOf(document: vscode.TextDocument): string {
    return this.client.code2ProtocolConverter.asUri(document.uri);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.client.dispose().catch((error: unknown) => {
      this.log.info(`It did not stop in order: ${String(error)}`);
    });
  }

  dispose(): void {
    void this.stop();
  }

  private options(): LanguageClientOptions {
    return {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { scheme: "vscode-notebook-cell" }],
      outputChannel: this.log,
      // Programs of the workspace itself (its own checkers) run only where the user trusts it.
      initializationOptions: () => ({ trusted: vscode.workspace.isTrusted }),
      // An editor asks at each keystroke: what fails there belongs into the log, not before the user's eyes.
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationFailedHandler: () => false,
      errorHandler: this.errorHandler(),
      // A thousand files that some extension opened are not sent before somebody looks at them.
      textSynchronization: { delayOpenNotifications: true },
      stdioOptions: {
        stdout: () => undefined,
        stderr: (stream) => {
          stream.setEncoding("utf8");
          stream.on("data", (text: string) => {
            this.said(text);
          });
        },
      },
      middleware: {
        workspace: {
          configuration: async (params, token, next) => {
            const answers: unknown = await next(params, token);
            return Array.isArray(answers) ? answers.map(forServer) : [];
          },
          handleApplyEdit: async (params, next) => {
            const asked = askedFirst(params);
            if (asked === undefined) return next(params, new vscode.CancellationTokenSource().token);
            const ours = this.client.protocol2CodeConverter;
            return { applied: await this.user.preview(asked, ours.asUri(asked.uri), await ours.asTextEdits(asked.edits)) };
          },
        },
        executeCommand: async (command, args, next) => {
          if (command === ACCEPTED) void vscode.commands.executeCommand("setContext", ACCEPTED, true);
          if (command !== REWRITE || args.length !== 1) return (await next(command, args)) as unknown;
          // A code action asks for a rewriting; what to write is for us to ask.
          const instruction = await this.user.instruction();
          return instruction === undefined ? undefined : ((await next(command, [args[0], instruction])) as unknown);
        },
      },
    };
  }

  private errorHandler(): ErrorHandler {
    return {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: async () => {
        // What never came up is told by `start`, and would not come up the next time either.
        if (this.isStopped() || !this.ran) return { action: CloseAction.DoNotRestart, handled: true };
        const wait = this.crashes.next(Date.now());
        if (wait === undefined) {
          this.failed("the server keeps stopping", "It was started again several times.");
          return { action: CloseAction.DoNotRestart, handled: true };
        }
        this.status = undefined;
        this.told({ kind: "starting", text: "starting again", detail: "The server stopped, and is started again. Your text is safe." });
        this.log.warn("The server stopped; it is started again.");
        await new Promise((resolve) => setTimeout(resolve, wait));
        return { action: this.isStopped() ? CloseAction.DoNotRestart : CloseAction.Restart, handled: true };
      },
    };
  }

  /** A method, since it may change while something is waited for. */
  private isStopped(): boolean {
    return this.stopped;
  }

  private failed(text: string, why: string): void {
    this.status = undefined;
    this.log.error(`${text}: ${why}`);
    const words = this.words.length > 0 ? `\n\nIts last words:\n\n${this.words.slice(-3).join("\n")}` : "";
    this.told({ kind: "failed", text, detail: `${why} Look at the log, run the doctor, or restart it from the menu.${words}` });
  }

  private said(text: string): void {
    for (const line of text.split(/\r?\n/).filter((each) => each.trim() !== "")) {
      this.words.push(line);
      if (this.words.length > LAST_WORDS) this.words.shift();
      this.log.info(line);
    }
  }
}
