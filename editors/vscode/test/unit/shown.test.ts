import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contextHtml, isExplained, type Explained } from "../../src/contextHtml";
import { Crashes } from "../../src/crashes";
import { appearance, isServerStatus, shownOf, type ServerStatus } from "../../src/status";

const READY: ServerStatus = { state: "ready", text: "nano on cpu", detail: "", percent: null, model: "nano", device: "cpu", log: "" };

void describe("the status bar", () => {
  const text = (status: Partial<ServerStatus>, excluded = ""): string => appearance(shownOf({ ...READY, ...status }, excluded)).text;

  void it("says what the server says", () => {
    assert.equal(text({}), "$(check) coderls: nano on cpu");
    assert.equal(text({ state: "loading", text: "loading nano 40%", percent: 40 }), "$(loading~spin) coderls: loading nano 40%");
    assert.equal(text({ state: "paused", text: "paused" }), "$(debug-pause) coderls: paused");
  });

  void it("says that the file is excluded, unless something worse is the matter", () => {
    assert.equal(text({}, "the file may hold secrets"), "$(circle-slash) coderls: not in this file");
    assert.match(appearance(shownOf(READY, "the file may hold secrets")).tooltip, /may hold secrets/);
    assert.equal(text({ state: "error", text: "no engine" }, "the file may hold secrets"), "$(error) coderls: no engine");
    assert.equal(text({ state: "paused", text: "paused" }, "x"), "$(debug-pause) coderls: paused");
  });

  void it("warns where something has to be done", () => {
    const severity = (state: ServerStatus["state"]): string => appearance(shownOf({ ...READY, state }, "")).severity;
    assert.deepEqual((["ready", "slow", "offline", "error"] as const).map(severity), ["none", "none", "warning", "error"]);
  });

  void it("keeps long texts short", () => {
    assert.ok(text({ text: "x".repeat(500) }).length < 80);
    assert.equal(text({ text: "one\ntwo" }), "$(check) coderls: one");
  });

  void it("believes only what is a status", () => {
    assert.ok(isServerStatus(READY));
    for (const odd of [null, 3, {}, { ...READY, state: "flying" }, { ...READY, text: 1 }, [READY]]) assert.equal(isServerStatus(odd), false);
  });
});

void describe("a server that dies", () => {
  void it("is started again, after longer each time, and at last not", () => {
    const crashes = new Crashes();
    assert.deepEqual([0, 1, 2, 3, 4].map((second) => crashes.next(1000 * second)), [250, 1000, 4000, 16000, undefined]);
  });

  void it("now and then is started again each time", () => {
    const crashes = new Crashes();
    assert.deepEqual([0, 1, 2, 3, 4].map((hour) => crashes.next(3_600_000 * hour)), [250, 250, 250, 250, 250]);
  });
});

void describe("the panel of the context", () => {
  const explained: Explained = {
    finish_reason: "stop",
    reused: "",
    tokens: { prompt: 120, cached: 90, completion: 7 },
    timings_ms: { context: 1.5, first_token: 30, total: 61.25 },
    prompt: [
      { kind: "definition", path: "a & b/shapes.py", first_line: 3, last_line: 9, tokens: 60 },
      { kind: "prefix", path: "main.py", first_line: 1, last_line: 4, tokens: 60 },
    ],
    context: [{ path: "a & b/shapes.py", tokens: 60, pieces: [{ name: "<Shape>", first_line: 3, last_line: 9, retriever: "import", score: 0.8125, tokens: 60 }] }],
  };

  void it("links to the lines of each part", () => {
    const html = contextHtml("main.py", explained);
    assert.ok(html.includes(`command:coderls.openLines?${encodeURIComponent(JSON.stringify(["a & b/shapes.py", 3, 9]))}`));
    assert.match(html, /a &amp; b\/shapes\.py, lines 3 to 9/);
    assert.match(html, /120 tokens, of which 90/);
    assert.match(html, /61\.3 ms in all: context 1\.5 ms, first token 30\.0 ms/);
  });

  void it("never shows what a file is called as markup", () => {
    const html = contextHtml("<img src=x>.py", explained);
    assert.equal(html.includes("<img"), false);
    assert.equal(html.includes("<Shape>"), false);
  });

  void it("runs nothing", () => {
    assert.match(contextHtml("main.py", explained), /default-src 'none'/);
    assert.equal(contextHtml("main.py", explained).includes("<script"), false);
  });

  void it("says so when there was no completion", () => {
    assert.match(contextHtml("main.py", undefined), /No completion yet/);
    assert.equal(isExplained(null), false);
    assert.equal(isExplained({ prompt: [] }), false);
    assert.ok(isExplained(explained));
  });
});
