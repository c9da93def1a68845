// The installation as the user sees it: what is asked, the progress, and what went wrong.

import * as fs from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { freeGb, install, InstallError, removeOthers, ROOM_GB, type Torch } from "./environment";
import { examine, isPython, unsuitable, type Python } from "./python";
import { run } from "./run";
import { SECTION } from "./settings";

export interface Installer {
  context: vscode.ExtensionContext;
  log: vscode.LogOutputChannel;
  /** The folder of environments. */
  root: string;
}

/** Ask, install, and say what came of it. Whether there is a server of its own now. */
export async function installServer(installer: Installer, python: Python | undefined): Promise<boolean> {
  if (python === undefined) {
    await explainNoPython([]);
    return false;
  }
  const wheels = vscode.workspace.getConfiguration(SECTION).get<string>("server.wheels", "");
  const target = await targetOf(installer.context, wheels);
  if (target === undefined) return false;
  const torch = await chooseTorch(python, wheels);
  if (torch === undefined) return false;
  const options = { location: vscode.ProgressLocation.Notification, title: "Installing the coderls server", cancellable: true };
  return vscode.window.withProgress(options, async (progress, token) => {
    const stop = new AbortController();
    token.onCancellationRequested(() => {
      stop.abort();
    });
    const logged: typeof run = (command, args, given = {}) => {
      installer.log.info(`> ${[command, ...args].join(" ")}`);
      const onLine = (line: string): void => {
        installer.log.info(line);
        given.onLine?.(line);
      };
      return run(command, args, { ...given, onLine });
    };
    const say = (message: string): void => {
      progress.report({ message });
    };
    const plan = {
      root: installer.root,
      python: python.command,
      target,
      torch,
      platform: process.platform,
      free: freeGb,
      ...(wheels ? { wheels } : {}),
    };
    try {
      const made = await install(plan, logged, say, stop.signal);
      installer.log.info(`The server is installed: ${made}`);
      await removeOthers(installer.root, made);
      return true;
    } catch (error) {
      void explainFailure(installer, error); // its buttons may be looked at much later: nothing waits for them
      return false;
    }
  });
}

/** The user's yes, with what it means: how much, from where, to where. Undefined: no. */
async function chooseTorch(python: Python, wheels: string): Promise<Torch | undefined> {
  const from = wheels ? `the wheels in ${wheels}` : "Python's package index";
  const what = `coderls is installed into an environment of its own, from ${from}, with Python ${python.version.join(".")} (${python.command}).`;
  const cpu = "For the Processor";
  const cuda = "With CUDA";
  const both = process.platform === "linux" && !wheels;
  const detail = both
    ? `${what} For the processor alone it takes about ${String(ROOM_GB.cpu - 1)} GB; with CUDA, for NVIDIA cards, about ${String(ROOM_GB.cuda - 4)} GB.`
    : `${what} It takes about ${String(ROOM_GB.cpu - 1)} GB.`;
  const choices = both ? (fs.existsSync("/proc/driver/nvidia") ? [cuda, cpu] : [cpu, cuda]) : ["Install"];
  const choice = await vscode.window.showInformationMessage("Install the coderls server?", { modal: true, detail }, ...choices);
  return choice === undefined ? undefined : choice === cuda ? "cuda" : "cpu";
}

/** What pip is to install: the wheel that came with the extension, or coderls of the extension's version. */
async function targetOf(context: vscode.ExtensionContext, wheels: string): Promise<string | undefined> {
  const folder = context.asAbsolutePath("server");
  const bundled = await fs.promises.readdir(folder).catch(() => [] as string[]);
  const wheel = bundled.find((name) => name.startsWith("coderls-") && name.endsWith(".whl"));
  if (wheel !== undefined) return path.join(folder, wheel);
  if (wheels) return "coderls";
  void vscode.window.showErrorMessage(
    "This build of the extension has no server in it. Install coderls as its README says, or name a folder of wheels that holds it in coderls.server.wheels.",
  );
  return undefined;
}

/** No Python was found that does: what was looked at, and what can be done. */
export async function explainNoPython(looked: readonly string[]): Promise<void> {
  const choose = "Choose Python…";
  const detail = looked.length > 0 ? ` ${looked.join(" ")}` : "";
  const message = `coderls needs Python 3.10 to 3.14 with venv, and found none.${detail} Install one, then try again.`;
  const answer = await vscode.window.showErrorMessage(message, choose);
  if (answer === choose) await vscode.commands.executeCommand("coderls.choosePython");
}

async function explainFailure(installer: Installer, error: unknown): Promise<void> {
  const message = error instanceof InstallError ? error.message : `The installation failed: ${String(error)}.`;
  installer.log.error(message);
  const show = "Show Log";
  const again = "Try Again";
  const answer = await vscode.window.showErrorMessage(message, again, show);
  if (answer === show) installer.log.show();
  if (answer === again) await vscode.commands.executeCommand("coderls.install");
}

/** Let the user name a Python, look at it, and keep it as a setting. */
export async function choosePython(cwd: string): Promise<void> {
  const picked = await vscode.window.showOpenDialog({
    title: "A Python from 3.10 to 3.14",
    openLabel: "Use This Python",
    canSelectMany: false,
  });
  const command = picked?.[0]?.fsPath;
  if (command === undefined) return;
  const found = await examine(command, run, cwd);
  const why = isPython(found) ? unsuitable(found) : found.why;
  if (why !== undefined) {
    void vscode.window.showErrorMessage(`coderls cannot use ${command}: ${why}.`);
    return;
  }
  const settings = vscode.workspace.getConfiguration(SECTION);
  await settings.update("server.python", command, vscode.ConfigurationTarget.Global);
}
