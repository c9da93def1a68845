// The oracle of benchmarks/context_points.py for TypeScript: for the names on random lines of a project, where the
// language service says they are defined. Reads a request from standard input, writes points to standard output.
//
//     node context_points_typescript.mjs TYPESCRIPT_PACKAGE < request.json
//
// request: {"root": folder, "files": [paths], "count": points wanted, "perFile": most of one file, "seed": number}

import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const ts = createRequire(import.meta.url)(path.join(process.argv[2], "lib", "typescript.js"));
const { root, files, count, perFile, seed } = JSON.parse(fs.readFileSync(0, "utf8"));

const absolute = (file) => path.join(root, file).split(path.sep).join("/");
const relative = (file) => path.relative(root, file).split(path.sep).join("/");

const configFile = ts.findConfigFile(root, ts.sys.fileExists);
const config = configFile ? ts.readConfigFile(configFile, ts.sys.readFile).config ?? {} : {};
const parsed = ts.convertCompilerOptionsFromJson(config.compilerOptions ?? {}, root).options;
const options = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  jsx: ts.JsxEmit.Preserve,
  experimentalDecorators: true,
  allowJs: false,
  baseUrl: parsed.baseUrl,
  paths: parsed.paths,
  types: [],
};

const host = {
  getScriptFileNames: () => files.map(absolute),
  getScriptVersion: () => "1",
  getScriptSnapshot: (name) => {
    const text = ts.sys.readFile(name);
    return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
  },
  getCurrentDirectory: () => root,
  getCompilationSettings: () => options,
  getDefaultLibFileName: (settings) => ts.getDefaultLibFilePath(settings),
  fileExists: ts.sys.fileExists,
  readFile: ts.sys.readFile,
  readDirectory: ts.sys.readDirectory,
  directoryExists: ts.sys.directoryExists,
  getDirectories: ts.sys.getDirectories,
};
const service = ts.createLanguageService(host, ts.createDocumentRegistry());

// A small generator of our own, so that a seed means the same everywhere (mulberry32).
let state = seed >>> 0;
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
function shuffled(list) {
  const items = [...list];
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j], items[i]];
  }
  return items;
}

// Identifiers by line, of code in bodies: no imports, no exports of names, and nothing at the left edge.
function namesByLine(source) {
  const lines = new Map();
  const starts = source.getLineStarts();
  const visit = (node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isImportEqualsDeclaration(node)) return;
    if (ts.isIdentifier(node)) {
      const at = node.getStart(source);
      const { line } = source.getLineAndCharacterOfPosition(at);
      if (/\s/.test(source.text[starts[line]])) {
        if (!lines.has(line)) lines.set(line, []);
        lines.get(line).push({ name: node.text, at });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return lines;
}

function definitionOf(file, at) {
  for (const found of service.getDefinitionAtPosition(absolute(file), at) ?? []) {
    const target = relative(found.fileName);
    if (target === file || target.startsWith("..") || target.includes("node_modules/")) continue;
    if (["module", "parameter", "primitive type", "type parameter"].includes(found.kind)) continue;
    const source = service.getProgram().getSourceFile(found.fileName);
    if (!source || source.isDeclarationFile) continue;
    const { line } = source.getLineAndCharacterOfPosition(found.textSpan.start);
    return { path: target, line, kind: found.kind };
  }
  return undefined;
}

const points = [];
for (const file of files) {
  if (points.length >= count) break;
  const source = service.getProgram().getSourceFile(absolute(file));
  if (!source) continue;
  const rows = source.text.split("\n");
  const lines = namesByLine(source);
  let found = 0;
  for (const line of shuffled([...lines.keys()]).slice(0, 6 * perFile)) {
    if (found >= perFile || points.length >= count) break;
    if (rows[line].trim().length <= 6 || /^\s*(\*|\/\/|\/\*|import\b|export\b)/.test(rows[line])) continue;
    const symbols = {};
    for (const { name, at } of lines.get(line)) {
      if (name in symbols) continue;
      const target = definitionOf(file, at);
      if (target) symbols[name] = target;
    }
    if (Object.keys(symbols).length) {
      points.push({ path: file, line, symbols });
      found += 1;
    }
  }
}
process.stdout.write(JSON.stringify(points));
