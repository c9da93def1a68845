// Programs that are played: what they answer is written down in the test.

import type { Ended, Run } from "../../src/run";

/** A `run` that answers by the command; `asked` keeps what was run. */
export function played(answers: Record<string, Partial<Ended>>): { run: Run; asked: string[] } {
  const asked: string[] = [];
  const run: Run = (command, args) => {
    asked.push([command, ...args].join(" "));
    const answer = answers[command] ?? { code: null, error: new Error(`spawn ${command} ENOENT`) };
    return Promise.resolve({ code: 0, stdout: "", stderr: "", ...answer });
  };
  return { run, asked };
}

/** What a Python says of itself. */
export function python(version: string, coderls: string | null = null, venv = true): Partial<Ended> {
  return { stdout: JSON.stringify({ version: version.split(".").map(Number), venv, coderls }) + "\n" };
}
