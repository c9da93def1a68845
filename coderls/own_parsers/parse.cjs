// Counts the syntax errors of JavaScript and TypeScript texts. Nothing of a text is evaluated, and no file is read.
//
//     node parse.cjs [.../typescript.js]
//
// A question is a line `NUMBER KIND BYTES` and so many bytes of UTF-8; KIND is `module` (JavaScript: V8's own parser) or
// `ts`, `tsx`, `jsx` (TypeScript's parser). An answer is JSON behind a Content-Length: `{"number": 1, "found": 0}`;
// `found` is null where nobody can tell.
"use strict";
const vm = require("vm");

const typescript = process.argv[2] ? require(process.argv[2]) : null;

function ofJavaScript(text) {
  try {
    if (/^\s*(import|export)\b/m.test(text)) new vm.SourceTextModule(text);
    else new vm.Script(text);
    return 0;
  } catch (error) {
    return error instanceof SyntaxError ? 1 : null;
  }
}

function ofTypeScript(text, kind) {
  const { ScriptKind, ScriptTarget, createSourceFile } = typescript;
  const source = createSourceFile(`a.${kind}`, text, ScriptTarget.Latest, false, ScriptKind[kind.toUpperCase()]);
  return source.parseDiagnostics.length;
}

function answer(number, kind, text) {
  let found = null;
  try {
    found = kind === "module" ? ofJavaScript(text) : ofTypeScript(text, kind);
  } catch {
    // A text that is nested too deep, or a version of TypeScript that is asked in another way: nobody can tell.
  }
  const said = JSON.stringify({ number, found });
  process.stdout.write(`Content-Length: ${Buffer.byteLength(said)}\r\n\r\n${said}`);
}

let pieces = [];
let heard = 0;
let wanted = 0; // bytes from which it is worth looking

process.stdin.on("data", (piece) => {
  pieces.push(piece);
  heard += piece.length;
  while (heard >= wanted) {
    const all = Buffer.concat(pieces);
    const end = all.indexOf(10);
    if (end < 0) {
      pieces = [all];
      wanted = heard + 1;
      return;
    }
    const [number, kind, bytes] = all.toString("latin1", 0, end).split(" ");
    wanted = end + 1 + Number(bytes);
    if (heard < wanted) {
      pieces = [all];
      return;
    }
    answer(Number(number), kind, all.toString("utf8", end + 1, wanted));
    pieces = [all.subarray(wanted)];
    heard -= wanted;
    wanted = 1;
  }
});
