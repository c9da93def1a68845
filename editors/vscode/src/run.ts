// Runs a program to its end, without a shell.

import { spawn, type ChildProcess } from "node:child_process";

export interface Ended {
  /** The exit code; null when it was stopped, or could not be started. */
  code: number | null;
  stdout: string;
  stderr: string;
  /** Why it could not be started, if so. */
  error?: Error;
}

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Called with each whole line of either stream. */
  onLine?: (line: string) => void;
}

export type Run = (command: string, args: readonly string[], options?: RunOptions) => Promise<Ended>;

/** Only the end of an output is kept. */
const KEPT = 200_000;

const WINDOWS = process.platform === "win32";
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) end(child);
});

/** The program's end. Never rejects: a program that cannot be started, or was stopped, has a null code and an error. */
export const run: Run = (command, args, options = {}) =>
  new Promise((resolve) => {
    const out = { stdout: "", stderr: "" };
    if (options.signal?.aborted) {
      resolve({ code: null, ...out, error: new Error("it was stopped") });
      return;
    }
    const child = spawn(command, [...args], {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
      detached: !WINDOWS, // a group of its own, so that it can be ended with all that it started
    });
    running.add(child);
    let failure: Error | undefined;
    const stop = (why: string) => (): void => {
      failure = new Error(why);
      end(child);
    };
    const stopped = stop("it was stopped");
    options.signal?.addEventListener("abort", stopped, { once: true });
    const { timeoutMs } = options;
    const late = timeoutMs === undefined ? undefined : setTimeout(stop(`it did not answer within ${String(timeoutMs / 1000)} s`), timeoutMs);
    const ended = (): void => {
      running.delete(child);
      clearTimeout(late);
      options.signal?.removeEventListener("abort", stopped);
    };
    for (const name of ["stdout", "stderr"] as const) {
      let rest = "";
      child[name].setEncoding("utf8");
      child[name].on("data", (piece: string) => {
        out[name] = (out[name] + piece).slice(-KEPT);
        if (options.onLine) {
          const lines = (rest + piece).split(/\r\n|\r|\n/);
          rest = lines.pop() ?? "";
          lines.forEach(options.onLine);
        }
      });
      child[name].on("end", () => {
        if (rest && options.onLine) options.onLine(rest);
      });
    }
    child.on("error", (error) => {
      failure = error;
      if (child.pid !== undefined) return;
      ended();
      resolve({ code: null, ...out, error });
    });
    child.on("close", (code) => {
      ended();
      resolve({ code, ...out, ...(failure === undefined ? {} : { error: failure }) });
    });
  });

/** End a program and what it has started: pip and venv start others, which would go on writing. */
function end(child: ChildProcess): void {
  if (child.pid === undefined) return;
  if (WINDOWS) {
    spawn("taskkill", ["/pid", String(child.pid), "/t", "/f"], { stdio: "ignore", windowsHide: true });
    return;
  }
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // it has ended by itself
  }
}
