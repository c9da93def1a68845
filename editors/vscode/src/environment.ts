// The server's own virtual environment, in a folder of the extension: made, found again, replaced by a newer one.

import * as fs from "node:fs/promises";
import * as path from "node:path";
import type { Ended, Run } from "./run";

/** What an installation takes, in GB: the environment, and what pip needs meanwhile. */
export const ROOM_GB = { cpu: 3, cuda: 14 } as const;
export type Torch = keyof typeof ROOM_GB;

/** Where PyTorch has builds without CUDA. Everywhere but on Linux the package index has them too. */
const CPU_INDEX = "https://download.pytorch.org/whl/cpu";

const DONE = "installed.json";
const LOCK = "installing.lock";
/** A lock that nobody has touched for so long is of a window that is gone. */
const STALE_MS = 90_000;

export interface Plan {
  /** The folder of all environments. */
  root: string;
  /** The Python that makes it. */
  python: string;
  /** What pip is to install: a wheel, or a requirement. */
  target: string;
  /** A folder of wheels; nothing asks a network then. */
  wheels?: string;
  torch: Torch;
  platform: NodeJS.Platform;
  /** How much is free in a folder, in GB. */
  free: (folder: string) => Promise<number>;
}

/** What the file system says; without a bound where it says nothing. */
export async function freeGb(folder: string): Promise<number> {
  return fs.statfs(folder).then(
    (disk) => (disk.bavail * disk.bsize) / 1e9,
    () => Infinity,
  );
}

export class InstallError extends Error {}

/** The interpreter of the newest environment that was made whole; undefined where there is none. */
export async function ownPython(root: string, platform: NodeJS.Platform): Promise<string | undefined> {
  const whole: { at: number; python: string }[] = [];
  for (const folder of await environments(root)) {
    const stat = await fs.stat(path.join(folder, DONE)).catch(() => undefined);
    if (stat) whole.push({ at: stat.mtimeMs, python: interpreter(folder, platform) });
  }
  return whole.sort((one, other) => other.at - one.at)[0]?.python;
}

/** Make a new environment and install the server there; its interpreter. Raises InstallError with what to do. */
export async function install(
  plan: Plan,
  run: Run,
  say: (what: string) => void,
  signal: AbortSignal,
  now: () => number = Date.now,
): Promise<string> {
  await fs.mkdir(plan.root, { recursive: true });
  await checkRoom(plan);
  const unlock = await lock(plan.root, now);
  const folder = path.join(plan.root, `env-${now().toString(36)}`);
  try {
    await removeHalves(plan.root);
    say("making a virtual environment");
    const made = await run(plan.python, ["-m", "venv", folder], { cwd: plan.root, signal });
    stopIfFailed(made, signal, `${plan.python} could not make a virtual environment`);
    const python = interpreter(folder, plan.platform);
    say("asking for packages");
    const installed = await run(python, pipArguments(plan), {
      cwd: plan.root,
      signal,
      onLine: (line) => {
        const step = progressOf(line);
        if (step !== undefined) say(step);
      },
    });
    stopIfFailed(installed, signal, "The server could not be installed");
    say("looking at what was installed");
    const checked = await run(python, ["-m", "coderls", "--version"], { cwd: plan.root, signal });
    stopIfFailed(checked, signal, "The server was installed, and does not start");
    await fs.writeFile(path.join(folder, DONE), JSON.stringify({ version: checked.stdout.trim() }));
    return python;
  } catch (error) {
    await remove(folder);
    throw error;
  } finally {
    await unlock();
  }
}

/** What an installation left that was cut off, as by the end of the editor. Nobody else makes one just now. */
async function removeHalves(root: string): Promise<void> {
  for (const folder of await environments(root)) {
    const whole = await fs.stat(path.join(folder, DONE)).catch(() => undefined);
    if (!whole) await remove(folder);
  }
}

/** What is in use (Windows), or may not be removed, stays: it is no whole environment, or not the newest. */
async function remove(folder: string): Promise<void> {
  await fs.rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
}

async function environments(root: string): Promise<string[]> {
  const folders = await fs.readdir(root).catch(() => [] as string[]);
  return folders.filter((folder) => folder.startsWith("env-")).map((name) => path.join(root, name));
}

/** Remove all environments but the one of this interpreter. */
export async function removeOthers(root: string, python: string): Promise<void> {
  for (const folder of await environments(root)) {
    if (!python.startsWith(folder + path.sep)) await remove(folder);
  }
}

export function pipArguments(plan: Plan): string[] {
  const where = plan.wheels ? ["--no-index", "--find-links", plan.wheels] : [];
  const index = !plan.wheels && plan.torch === "cpu" && plan.platform === "linux" ? ["--extra-index-url", CPU_INDEX] : [];
  const quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-color"];
  return ["-m", "pip", "install", ...quiet, ...where, ...index, plan.target];
}

/** A line of pip's, in a few words for the progress bar; undefined for one that says nothing new. */
export function progressOf(line: string): string | undefined {
  const download = /^\s*Downloading (?:\S*\/)?([^/\s]+?)-\d\S*(?: \((.+)\))?/.exec(line);
  if (download) return `fetching ${download[1] ?? ""}${download[2] ? ` (${download[2]})` : ""}`;
  const collecting = /^\s*(?:Collecting|Processing) (\S+)/.exec(line);
  if (collecting) return `looking at ${path.basename(collecting[1] ?? "").replace(/[-<>=!~;[].*$/, "")}`;
  if (/^\s*Installing collected packages/.test(line)) return "putting it in place";
  return undefined;
}

/** What an error of pip's means, and what to do. */
export function adviceOn(output: string): string {
  if (/No space left on device|Errno 28|disk is full/i.test(output)) return "The disk is full: make room, and try again.";
  if (/No matching distribution found|Could not find a version/i.test(output)) {
    return "A package was not found. Without a network, name a folder of wheels in coderls.server.wheels that holds all of them, for this Python.";
  }
  if (/NewConnectionError|Temporary failure in name resolution|getaddrinfo|timed out|ProxyError|Network is unreachable/i.test(output)) {
    return "The package index could not be reached. Check the network or pip's own settings, or name a folder of wheels in coderls.server.wheels.";
  }
  if (/Permission denied|Errno 13/i.test(output)) return "Something may not be written there: look at the folder's permissions.";
  return "The log has all that was said.";
}

function stopIfFailed(ended: Ended, signal: AbortSignal, what: string): void {
  if (signal.aborted) throw new InstallError("The installation was stopped.");
  if (ended.code === 0) return;
  const said = `${ended.stderr}\n${ended.stdout}`;
  const last = ended.error?.message ?? (ended.stderr.trim().split("\n").at(-1) || `it left with code ${String(ended.code)}`);
  throw new InstallError(`${what}: ${last} ${adviceOn(said)}`);
}

async function checkRoom(plan: Plan): Promise<void> {
  const wanted = ROOM_GB[plan.torch];
  const free = await plan.free(plan.root);
  if (free < wanted) {
    throw new InstallError(
      `There are ${free.toFixed(1)} GB free in ${plan.root}, and the server needs ${String(wanted)} GB. Make room, or install it elsewhere and name its Python in coderls.server.python.`,
    );
  }
}

/** One installation at a time, however many windows there are. */
async function lock(root: string, now: () => number): Promise<() => Promise<void>> {
  const file = path.join(root, LOCK);
  for (;;) {
    try {
      await (await fs.open(file, "wx")).close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        throw new InstallError(`${file} cannot be written: ${(error as Error).message}.`);
      }
      const stat = await fs.stat(file).catch(() => undefined);
      if (stat && now() - stat.mtimeMs < STALE_MS) {
        throw new InstallError("Another window installs the server right now. Wait for it, then restart the server here.");
      }
      await fs.rm(file, { force: true });
    }
  }
  const touch = setInterval(() => void fs.utimes(file, new Date(), new Date()).catch(() => undefined), STALE_MS / 3);
  return async () => {
    clearInterval(touch);
    await fs.rm(file, { force: true });
  };
}

function interpreter(folder: string, platform: NodeJS.Platform): string {
  return platform === "win32" ? path.join(folder, "Scripts", "python.exe") : path.join(folder, "bin", "python");
}
