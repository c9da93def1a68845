// Pythons of this machine: where they may be, and what each can do.

import * as path from "node:path";
import type { Run } from "./run";

export const OLDEST: readonly [number, number] = [3, 10];
export const NEWEST: readonly [number, number] = [3, 14];

export interface Python {
  command: string;
  version: readonly [number, number, number];
  /** Whether environments can be made with it. */
  makesEnvironments: boolean;
  /** The version of coderls that is installed there, if it is. */
  coderls?: string;
}

/** A path that is no Python, and why. */
export interface NoPython {
  command: string;
  why: string;
}

const QUESTION = `
import json, sys
facts = {"version": list(sys.version_info[:3]), "venv": False, "coderls": None}
try:
    import ensurepip, venv
    facts["venv"] = True
except ImportError:
    pass
try:
    from importlib import metadata, util
    if util.find_spec("coderls") is not None:
        facts["coderls"] = metadata.version("coderls")
except Exception:
    pass
print(json.dumps(facts))
`;

/** Longer than a cold start from a slow disk takes. */
const PATIENCE_MS = 20_000;

/** Ask a Python about itself. `cwd` must be a folder of ours: Python imports from where it is started. */
export async function examine(command: string, run: Run, cwd: string): Promise<Python | NoPython> {
  const ended = await run(command, ["-c", QUESTION], { cwd, timeoutMs: PATIENCE_MS });
  if (ended.error) return { command, why: ended.error.message };
  if (ended.code !== 0) return { command, why: lastLine(ended.stderr) || `it left with code ${String(ended.code)}` };
  try {
    const facts = JSON.parse(lastLine(ended.stdout)) as { version: number[]; venv: boolean; coderls: string | null };
    const [major = 0, minor = 0, patch = 0] = facts.version;
    return {
      command,
      version: [major, minor, patch],
      makesEnvironments: facts.venv,
      ...(facts.coderls === null ? {} : { coderls: facts.coderls }),
    };
  } catch {
    return { command, why: "it does not answer as Python does" };
  }
}

export function isPython(found: Python | NoPython): found is Python {
  return "version" in found;
}

/** Why coderls does not run on this version; undefined where it does. */
export function unsuitable(python: Python): string | undefined {
  const version = python.version.join(".");
  const range = `${OLDEST.join(".")} to ${NEWEST.join(".")}`;
  if (compare(python.version, OLDEST) < 0) return `Python ${version} is too old: coderls needs ${range}`;
  if (compare(python.version, NEWEST) > 0) return `Python ${version} is too new: coderls needs ${range}`;
  return undefined;
}

function compare(version: readonly number[], limit: readonly [number, number]): number {
  return (version[0] ?? 0) - limit[0] || (version[1] ?? 0) - limit[1];
}

/** Whole paths of what may be a Python on PATH, the newest suitable version first. Relative entries are left out. */
export function candidates(
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
  exists: (file: string) => boolean,
): string[] {
  const names: string[] = [];
  for (let minor = NEWEST[1]; minor >= OLDEST[1]; minor--) names.push(`python3.${String(minor)}`);
  names.push("python3", "python");
  return onPath(names, env, platform, exists);
}

/** Whole paths of programs of these names, in the order of the names, then of PATH. */
export function onPath(
  names: readonly string[],
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
  exists: (file: string) => boolean,
): string[] {
  const windows = platform === "win32";
  const own = windows ? path.win32 : path.posix;
  const folders = (env.PATH ?? env.Path ?? "").split(windows ? ";" : ":").filter((folder) => own.isAbsolute(folder));
  // The aliases of the Windows store open a shop instead of a Python.
  const usable = folders.filter((folder) => !(windows && /\\WindowsApps\\?$/i.test(folder)));
  const found = names.flatMap((name) => usable.map((folder) => own.join(folder, windows ? `${name}.exe` : name)));
  return [...new Set(found)].filter(exists);
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.trim() ?? "";
}
