// Runs a program to its end, without a shell.

import { spawn } from "node:child_process";

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

/** The program's end. Never rejects: a program that cannot be started has a null code and an error. */
export const run: Run = (command, args, options = {}) =>
  new Promise((resolve) => {
    const out = { stdout: "", stderr: "" };
    const child = spawn(command, [...args], {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
    });
    let failure: Error | undefined;
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
      if (child.pid === undefined) resolve({ code: null, ...out, error });
    });
    child.on("close", (code) => {
      resolve({ code, ...out, ...(failure === undefined ? {} : { error: failure }) });
    });
  });
