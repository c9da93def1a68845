// The interpreter that the Python extension (ms-python.python) has chosen, where that extension is there.

import * as vscode from "vscode";

/** The part of its published interface that is used here. */
interface PythonApi {
  environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { path: string };
    resolveEnvironment(environment: { path: string }): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
    onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

async function api(): Promise<PythonApi | undefined> {
  const extension = vscode.extensions.getExtension<Partial<PythonApi> | undefined>("ms-python.python");
  if (!extension) return undefined;
  const found = extension.isActive ? extension.exports : await extension.activate();
  return found?.environments === undefined ? undefined : { environments: found.environments };
}

/** That extension may look for environments for minutes: nobody is kept waiting longer. */
const PATIENCE_MS = 5_000;
const LATE = Symbol("late");

/**
 * Its interpreter; undefined without one, and in a workspace that is not trusted: it may be the workspace's own. `late` is
 * called when it comes after all.
 */
export async function activePython(late: () => void): Promise<string | undefined> {
  if (!vscode.workspace.isTrusted) return undefined;
  const found = resolved();
  let clock: NodeJS.Timeout | undefined;
  const enough = new Promise<typeof LATE>((resolve) => (clock = setTimeout(resolve, PATIENCE_MS, LATE)));
  const first = await Promise.race([found, enough]);
  clearTimeout(clock);
  if (first !== LATE) return first;
  void found.then((python) => {
    if (python !== undefined) late();
  });
  return undefined;
}

async function resolved(): Promise<string | undefined> {
  try {
    const python = await api();
    if (!python) return undefined;
    const resource = vscode.workspace.workspaceFolders?.[0]?.uri;
    const environment = await python.environments.resolveEnvironment(python.environments.getActiveEnvironmentPath(resource));
    return environment?.executable.uri?.fsPath;
  } catch {
    return undefined; // another extension's fault: the other places are looked at
  }
}

/** Called when another interpreter is chosen there. */
export function onOtherPython(called: () => void): vscode.Disposable {
  const listening: vscode.Disposable[] = [];
  void api().then(
    (python) => {
      const event = python?.environments.onDidChangeActiveEnvironmentPath;
      if (event) listening.push(event(called));
    },
    () => undefined,
  );
  return new vscode.Disposable(() => {
    for (const each of listening) each.dispose();
  });
}
