import assert from "node:assert/strict";
import * as fs from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { adviceOn, freeGb, install, ownPython, pipArguments, progressOf, removeOthers, type Plan } from "../../src/environment";
import { run, type Ended, type Run } from "../../src/run";

let root: string;
beforeEach(async () => {
  root = await fs.mkdtemp(path.join(os.tmpdir(), "coderls-test-"));
});
afterEach(async () => {
  await fs.rm(root, { recursive: true, force: true });
});

/** Plays Python: `venv` makes a folder, `pip` says what it is told to. */
function python(pip: Partial<Ended> = {}, log: string[] = []): Run {
  return async (_, args, options = {}) => {
    log.push(args.join(" "));
    if (args[1] === "venv") await fs.mkdir(path.join(args[2] ?? "", "bin"), { recursive: true });
    if (args[1] === "pip") for (const line of (pip.stdout ?? "").split("\n")) options.onLine?.(line);
    const answer = args[1] === "pip" ? pip : args[1] === "coderls" ? { stdout: "coderls 0.1.0\n" } : {};
    return { code: 0, stdout: "", stderr: "", ...answer };
  };
}

/** A program of our own in the place of Python. */
async function program(body: string): Promise<string> {
  const file = path.join(root, "python");
  await fs.writeFile(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return file;
}

/** Whether a process does something still: one that has ended may wait for somebody to notice. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await fs.readFile(`/proc/${String(pid)}/stat`, "utf8").catch(() => "");
  if (process.platform === "linux") return stat !== "" && !stat.includes(") Z ");
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const plan = (more: Partial<Plan> = {}): Plan => ({ root, python: "/usr/bin/python3", target: "/x/coderls.whl", torch: "cpu", platform: "linux", free: () => Promise.resolve(100), ...more });
const still = new AbortController().signal;
const folders = async (): Promise<string[]> => (await fs.readdir(root)).sort();

void describe("an installation", () => {
  void it("makes an environment that is found again", async () => {
    assert.equal(await ownPython(root, "linux"), undefined);
    const steps: string[] = [];
    const made = await install(plan(), python({ stdout: "Collecting torch\n  Downloading torch-2.13.0-x.whl (184 MB)\n" }), (step) => steps.push(step), still);
    assert.equal(await ownPython(root, "linux"), made);
    assert.ok(steps.includes("fetching torch (184 MB)"));
  });

  void it("leaves nothing behind when it fails, and says what to do", async () => {
    const full = python({ code: 1, stderr: "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n" });
    await assert.rejects(install(plan(), full, () => undefined, still), /Make room|make room/);
    assert.deepEqual(await folders(), []);
  });

  void it("leaves the environment of before when it fails", async () => {
    const before = await install(plan(), python(), () => undefined, still, () => 1_000);
    await assert.rejects(install(plan(), python({ code: 1, stderr: "no" }), () => undefined, still, () => 2_000));
    assert.equal(await ownPython(root, "linux"), before);
  });

  void it("can be stopped", async () => {
    const stop = new AbortController();
    stop.abort();
    await assert.rejects(install(plan(), python(), () => undefined, stop.signal), /was stopped/);
    assert.deepEqual(await folders(), []);
  });

  void it("is made by one window at a time, and a window that is gone is not waited for", async () => {
    await fs.writeFile(path.join(root, "installing.lock"), "");
    await assert.rejects(install(plan(), python(), () => undefined, still), /Another window installs/);
    await install(plan(), python(), () => undefined, still, () => Date.now() + 3_600_000);
    assert.equal((await folders()).includes("installing.lock"), false);
  });

  void it("replaces older ones, once it is whole", async () => {
    await install(plan(), python(), () => undefined, still, () => 1_000);
    const newer = await install(plan(), python(), () => undefined, still, () => 2_000);
    await removeOthers(root, newer);
    assert.equal((await folders()).length, 1);
    assert.equal(await ownPython(root, "linux"), newer);
  });

  void it("that was cut off is not taken for one, and removed by the next", async () => {
    await fs.mkdir(path.join(root, "env-cut", "bin"), { recursive: true });
    assert.equal(await ownPython(root, "linux"), undefined);
    await install(plan(), python(), () => undefined, still);
    assert.equal((await folders()).includes("env-cut"), false);
  });

  void it("ends with all that it has started when it is stopped", { skip: process.platform === "win32" }, async () => {
    const helper = path.join(root, "helper");
    const stop = new AbortController();
    // As venv does: it has another program do the work, and waits for it.
    const slow = await program(`mkdir -p "$3/bin"; sh -c 'echo $$ > ${helper}.new; mv ${helper}.new ${helper}; exec sleep 600' > /dev/null 2>&1; exit 0`);
    const ended = assert.rejects(install(plan({ python: slow, root: path.join(root, "server") }), run, () => undefined, stop.signal), /was stopped/);
    let pid: number | undefined;
    while (pid === undefined) pid = await fs.readFile(helper, "utf8").then(Number, () => undefined);
    assert.equal((await fs.readdir(path.join(root, "server"))).length, 2); // the folder, and the lock
    stop.abort();
    await ended;
    assert.deepEqual(await fs.readdir(path.join(root, "server")), []);
    while (await isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  void it("says what to do when the disk is full in the middle of it", { skip: process.platform === "win32" }, async () => {
    const full = await program(`mkdir -p "$3/lib"; echo "OSError: [Errno 28] No space left on device: '$3/lib'" >&2; exit 1`);
    await assert.rejects(install(plan({ python: full, root: path.join(root, "server") }), run, () => undefined, still), /No space left on device.*make room/);
    assert.deepEqual(await fs.readdir(path.join(root, "server")), []);
  });

  void it("says how much room is missing before anything is fetched", async () => {
    const asked: string[] = [];
    const small = plan({ torch: "cuda", free: () => Promise.resolve(7.25) });
    await assert.rejects(install(small, python({}, asked), () => undefined, still), /7\.3 GB free in .*, and the server needs 14 GB\. Make room/);
    assert.deepEqual(asked, []);
    assert.ok((await freeGb(root)) > 0);
    assert.equal(await freeGb("/nowhere"), Infinity);
  });
});

void describe("pip", () => {
  void it("asks no network when there is a folder of wheels", () => {
    const args = pipArguments(plan({ wheels: "/wheels", target: "coderls" }));
    assert.deepEqual(args.slice(-4), ["--no-index", "--find-links", "/wheels", "coderls"]);
    assert.equal(args.some((arg) => arg.includes("http")), false);
  });

  void it("is told where PyTorch without CUDA is, on Linux", () => {
    assert.ok(pipArguments(plan()).includes("--extra-index-url"));
    assert.equal(pipArguments(plan({ torch: "cuda" })).includes("--extra-index-url"), false);
    assert.equal(pipArguments(plan({ platform: "darwin" })).includes("--extra-index-url"), false);
  });

  void it("has its progress told in a few words", () => {
    assert.equal(progressOf("Collecting numpy>=1.26 (from coderls==0.1.0)"), "looking at numpy");
    assert.equal(progressOf("Processing ./wheels/coderls-0.1.0-py3-none-any.whl"), "looking at coderls");
    assert.equal(progressOf("  Downloading https://host/a/torch-2.13.0%2Bcpu-cp311.whl (184.2 MB)"), "fetching torch (184.2 MB)");
    assert.equal(progressOf("Installing collected packages: a, b"), "putting it in place");
    assert.equal(progressOf("  Using cached x"), undefined);
  });

  void it("has its errors explained", () => {
    assert.match(adviceOn("OSError: [Errno 28] No space left on device"), /make room/);
    assert.match(adviceOn("ERROR: No matching distribution found for torch>=2.11"), /folder of wheels/);
    assert.match(adviceOn("Failed to establish a new connection: Temporary failure in name resolution"), /could not be reached/);
    assert.match(adviceOn("who knows"), /log/);
  });
});
