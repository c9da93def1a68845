// Where the server is: the first of the places below that has one.

import * as path from "node:path";
import { candidates, examine, isPython, onPath, unsuitable, type NoPython, type Python } from "./python";
import type { Run } from "./run";

export interface Command {
  command: string;
  args: string[];
}

export interface Server extends Command {
  /** In words for the user. */
  from: string;
  kind: "setting" | "python" | "active" | "own" | "path";
  /** Runs `coderls ARGS`; unknown where the user gave a command of their own that does not end in --stdio. */
  tool?: Command;
}

export interface NoServer {
  /** What was looked at, and why it did not do: one sentence each. */
  looked: string[];
  /** Pythons with which an environment can be made, the best first. */
  pythons: Python[];
}

export interface Places {
  /** `coderls.server.command` and `coderls.server.python`. */
  command: readonly string[];
  python: string;
  /** The interpreter that the Python extension has chosen, where the workspace is trusted. */
  active?: string;
  /** The interpreter of our own environment, where one was made. */
  own?: string;
  env: NodeJS.ProcessEnv;
  platform: NodeJS.Platform;
  /** A folder of ours: Python imports from where it is started, and that must not be the user's project. */
  cwd: string;
  exists: (file: string) => boolean;
  run: Run;
}

export function isServer(found: Server | NoServer): found is Server {
  return "from" in found;
}

export async function locate(places: Places): Promise<Server | NoServer> {
  const looked: string[] = [];
  if (places.command.length > 0) return fromCommand(places, looked);
  if (places.python) {
    const found = await inPython(places, places.python, "python", "the setting coderls.server.python", looked);
    if (found) return found;
  }
  if (places.active) {
    const found = await inPython(places, places.active, "active", "the active Python environment", looked);
    if (found) return found;
  }
  if (places.own) {
    const found = await inPython(places, places.own, "own", "its own environment", looked);
    if (found) return found;
  }
  const [onItsOwn] = onPath(["coderls"], places.env, places.platform, places.exists);
  if (onItsOwn) return { command: onItsOwn, args: ["--stdio"], from: onItsOwn, kind: "path", tool: { command: onItsOwn, args: [] } };
  looked.push("There is no coderls on PATH.");
  return { looked, pythons: await pythons(places, looked) };
}

function fromCommand(places: Places, looked: string[]): Server | NoServer {
  const [command = "", ...args] = places.command;
  const own = places.platform === "win32" ? path.win32 : path.posix;
  if (!own.isAbsolute(command)) {
    // A bare name would be looked for in the folder that is open, on Windows.
    looked.push(`The setting coderls.server.command begins with ${command}, which is no absolute path.`);
  } else if (!places.exists(command)) {
    looked.push(`The setting coderls.server.command names ${command}, which is not there.`);
  } else {
    const tool = args.at(-1) === "--stdio" ? { tool: { command, args: args.slice(0, -1) } } : {};
    return { command, args, from: "the setting coderls.server.command", kind: "setting", ...tool };
  }
  return { looked, pythons: [] };
}

async function inPython(
  places: Places,
  python: string,
  kind: Server["kind"],
  from: string,
  looked: string[],
): Promise<Server | undefined> {
  const found = await examine(python, places.run, places.cwd);
  const why = whyNot(found);
  if (why !== undefined) {
    looked.push(`${capitalised(from)} (${python}): ${why}.`);
    return undefined;
  }
  const tool = { command: python, args: ["-m", "coderls"] };
  return { ...tool, args: [...tool.args, "--stdio"], from, kind, tool };
}

function whyNot(found: Python | NoPython): string | undefined {
  if (!isPython(found)) return found.why;
  return unsuitable(found) ?? (found.coderls === undefined ? "coderls is not installed there" : undefined);
}

/** Pythons with which an environment can be made, the best first. `looked` gets a sentence for each that does not do. */
export async function pythons(places: Places, looked: string[]): Promise<Python[]> {
  const named = [places.python, places.active ?? ""].filter((each) => each !== "");
  const others = candidates(places.env, places.platform, places.exists);
  const usable: Python[] = [];
  for (const command of [...new Set([...named, ...others])]) {
    const found = await examine(command, places.run, places.cwd);
    if (!isPython(found)) {
      looked.push(`${command}: ${found.why}.`);
      continue;
    }
    const why = unsuitable(found) ?? (found.makesEnvironments ? undefined : `it lacks venv (on Debian: apt install python3-venv)`);
    if (why === undefined) usable.push(found);
    else looked.push(`${command}: ${why}.`);
    if (usable.length > 0 && named.length === 0) break; // the newest there is
  }
  if (usable.length === 0 && others.length === 0) looked.push("There is no Python on PATH.");
  return usable;
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
