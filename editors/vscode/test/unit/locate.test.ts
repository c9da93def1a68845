import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isServer, locate, pythons, type Places } from "../../src/locate";
import type { Ended } from "../../src/run";
import { played, python } from "./played";

function places(answers: Record<string, Partial<Ended>>, more: Partial<Places> = {}): Places & { asked: string[] } {
  const { run, asked } = played(answers);
  const there = new Set(Object.keys(answers));
  return {
    command: [],
    python: "",
    env: { PATH: "/usr/local/bin:/usr/bin:bin:." },
    platform: "linux",
    cwd: "/ours",
    exists: (file) => there.has(file),
    run,
    asked,
    ...more,
  };
}

async function from(answers: Record<string, Partial<Ended>>, more: Partial<Places> = {}): Promise<string> {
  const found = await locate(places(answers, more));
  return isServer(found) ? `${found.kind}: ${found.command} ${found.args.join(" ")}` : `none: ${found.looked.join(" ")}`;
}

void describe("the server is looked for", () => {
  const all = { "/set": python("3.12.1", "0.1.0"), "/active": python("3.11.2", "0.1.0"), "/own": python("3.10.0", "0.1.0"), "/usr/bin/coderls": {} };

  void it("in the order of the settings, the active environment, its own, PATH", async () => {
    const places = { python: "/set", active: "/active", own: "/own" };
    assert.equal(await from(all, places), "python: /set -m coderls --stdio");
    assert.equal(await from(all, { active: "/active", own: "/own" }), "active: /active -m coderls --stdio");
    assert.equal(await from(all, { own: "/own" }), "own: /own -m coderls --stdio");
    assert.equal(await from(all), "path: /usr/bin/coderls --stdio");
  });

  void it("and its doctor is run as it is", async () => {
    const tool = async (more: Partial<Places>): Promise<string> => {
      const found = await locate(places(all, more));
      return isServer(found) ? [found.tool?.command, ...(found.tool?.args ?? [])].join(" ") : "none";
    };
    assert.equal(await tool({ own: "/own" }), "/own -m coderls");
    assert.equal(await tool({ command: ["/usr/bin/coderls", "-v", "--stdio"] }), "/usr/bin/coderls -v");
    assert.equal(await tool({ command: ["/usr/bin/coderls"] }), "");
  });

  void it("and passed over where it is not installed", async () => {
    const answers = { ...all, "/active": python("3.11.2") };
    assert.equal(await from(answers, { active: "/active", own: "/own" }), "own: /own -m coderls --stdio");
  });

  void it("by a command of the user's, which is the only place then", async () => {
    assert.equal(await from({ "/x/coderls": {} }, { command: ["/x/coderls", "--stdio"] }), "setting: /x/coderls --stdio");
    assert.match(await from(all, { command: ["/gone", "--stdio"], own: "/own" }), /none: .*\/gone, which is not there/);
    assert.match(await from(all, { command: ["coderls"], own: "/own" }), /none: .*no absolute path/);
  });

  void it("never in the folder that is open: relative entries of PATH are left out", async () => {
    const found = places({ "bin/coderls": {}, "./coderls": {}, coderls: {} });
    assert.equal(isServer(await locate(found)), false);
    assert.deepEqual(found.asked.filter((line) => line.startsWith("bin/") || line.startsWith("./")), []);
  });

  void it("and where there is none, each place says why", async () => {
    const answers = { "/active": python("3.8.10", "0.1.0"), "/usr/bin/python3": python("3.9.2") };
    const said = await from(answers, { active: "/active" });
    assert.match(said, /active Python environment \(\/active\): Python 3\.8\.10 is too old: coderls needs 3\.10 to 3\.14/);
    assert.match(said, /There is no coderls on PATH/);
  });
});

void describe("a Python to install with", () => {
  const of = async (answers: Record<string, Partial<Ended>>): Promise<[string[], string]> => {
    const looked: string[] = [];
    const found = await pythons(places(answers), looked);
    return [found.map((each) => each.command), looked.join(" ")];
  };

  void it("is the newest that does", async () => {
    const [found] = await of({ "/usr/bin/python3.11": python("3.11.2"), "/usr/bin/python3.13": python("3.13.1"), "/usr/bin/python3": python("3.11.2") });
    assert.deepEqual(found, ["/usr/bin/python3.13"]);
  });

  void it("is not too old, not too new, and has venv", async () => {
    const [found, looked] = await of({
      "/usr/local/bin/python3": python("3.15.0"),
      "/usr/bin/python3": python("3.11.2", null, false),
      "/usr/bin/python": python("2.7.18"),
    });
    assert.deepEqual(found, []);
    assert.match(looked, /3\.15\.0 is too new/);
    assert.match(looked, /lacks venv \(on Debian: apt install python3-venv\)/);
    assert.match(looked, /2\.7\.18 is too old/);
  });

  void it("is not a program that answers otherwise", async () => {
    const [found, looked] = await of({ "/usr/bin/python3": { stdout: "Welcome to the shop!" }, "/usr/bin/python": { code: 9009 } });
    assert.deepEqual(found, []);
    assert.match(looked, /does not answer as Python does/);
    assert.match(looked, /left with code 9009/);
  });

  void it("is missed by name when there is none", async () => {
    assert.deepEqual(await of({}), [[], "There is no Python on PATH."]);
  });
});
