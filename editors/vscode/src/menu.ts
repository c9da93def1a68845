// The menu behind the status bar item.

import * as vscode from "vscode";
import { isLanguageOff } from "./settings";
import type { Shown } from "./status";

interface Entry extends vscode.QuickPickItem {
  command?: string;
}

export async function showMenu(shown: Shown, facts: { paused: boolean; hasLog: boolean; version: string; nextEdit: string }): Promise<void> {
  const language = vscode.window.activeTextEditor?.document.languageId;
  const entries: Entry[] = [
    { label: shown.text || "coderls", detail: shown.detail, kind: vscode.QuickPickItemKind.Separator },
    ...urgent(shown),
    ...(facts.nextEdit === "" ? [] : [entry("$(arrow-right) Go to the next edit", "coderls.nextEdit", facts.nextEdit)]),
    entry(facts.paused ? "$(debug-start) Resume" : "$(debug-pause) Pause", "coderls.togglePause", "completions by themselves"),
  ];
  if (language !== undefined) {
    const off = isLanguageOff(language);
    entries.push(entry(`${off ? "$(circle-large-outline) Switch on" : "$(circle-slash) Switch off"} for ${language}`, "coderls.toggleLanguage"));
  }
  entries.push(
    entry("$(symbol-misc) Choose model…", "coderls.chooseModel", shown.model ?? ""),
    entry("$(list-tree) Show context of the last completion", "coderls.showContext"),
    entry("$(output) Show log", "coderls.showLog"),
  );
  if (facts.hasLog) entries.push(entry("$(output) Show engine log", "coderls.showEngineLog"));
  entries.push(
    entry("$(pulse) Run doctor", "coderls.runDoctor"),
    entry("$(debug-restart) Restart", "coderls.restart"),
    entry("$(gear) Settings", "coderls.openSettings"),
    entry("$(book) Get started", "coderls.getStarted"),
  );
  const chosen = await vscode.window.showQuickPick(entries, {
    title: facts.version ? `coderls ${facts.version}` : "coderls",
    placeHolder: shown.detail.split("\n", 1)[0] || shown.text,
  });
  if (chosen?.command !== undefined) await vscode.commands.executeCommand(chosen.command);
}

/** What helps in this state, first. */
function urgent(shown: Shown): Entry[] {
  if (shown.kind === "absent") return [entry("$(cloud-download) Install the server…", "coderls.install"), entry("$(folder) Choose Python…", "coderls.choosePython")];
  if (shown.kind === "failed") return [entry("$(debug-restart) Restart", "coderls.restart"), entry("$(pulse) Run doctor", "coderls.runDoctor")];
  if (shown.kind === "error" || shown.kind === "offline") return [entry("$(pulse) Run doctor", "coderls.runDoctor", "it says what to do")];
  return [];
}

function entry(label: string, command: string, description = ""): Entry {
  return { label, command, description };
}
