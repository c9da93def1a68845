// Builds the extension. `--production`: small, with the licences of what is in the bundle, and with the server's wheel.
// `--tests`: the unit tests and the tests for the extension host, too. Nothing here asks a network.

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { build } from "esbuild";

const production = process.argv.includes("--production");
const here = import.meta.dirname;
const shared = {
  absWorkingDir: here,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  logLevel: "warning",
  metafile: true,
};

for (const file of ["extension.js", "extension.js.map"]) fs.rmSync(path.join(here, "dist", file), { force: true });
const made = await build({
  ...shared,
  entryPoints: ["src/extension.ts"],
  outfile: "dist/extension.js",
  external: ["vscode"],
  minify: production,
  sourcemap: production ? false : "linked",
  // Their ESM builds, where they have some: esbuild leaves out of those what is not used.
  mainFields: ["module", "main"],
});
writeNotices(packagesOf(made.metafile));
if (production) buildServer();
if (process.argv.includes("--tests")) {
  const unit = fs.readdirSync(path.join(here, "test", "unit")).filter((name) => name.endsWith(".test.ts"));
  await build({ ...shared, entryPoints: unit.map((name) => `test/unit/${name}`), outdir: "dist/test", sourcemap: "inline" });
  await build({ ...shared, entryPoints: ["test/host/index.ts"], outfile: "dist/host/index.js", external: ["vscode"] });
}

/** Folders of the packages whose code is in the bundle. */
function packagesOf(metafile) {
  const inputs = Object.keys(metafile.inputs).filter((input) => input.includes("node_modules/"));
  const folder = (input) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)[1];
  return [...new Set(inputs.map(folder))].sort();
}

/** The licences of the bundle's packages, in full: each allows this use on the condition that it is passed on. */
function writeNotices(folders) {
  const allowed = ["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "BlueOak-1.0.0", "0BSD"];
  const texts = folders.map((folder) => {
    const about = JSON.parse(fs.readFileSync(path.join(here, folder, "package.json"), "utf8"));
    if (!allowed.includes(about.license)) throw new Error(`${about.name}: the licence ${about.license} is not among ${allowed}`);
    const file = fs.readdirSync(path.join(here, folder)).find((name) => /^licen[sc]e/i.test(name));
    if (!file) throw new Error(`${about.name} has no licence file`);
    const text = fs.readFileSync(path.join(here, folder, file), "utf8").trim().replaceAll("\r\n", "\n");
    return `${about.name} ${about.version} (${about.license})\n\n${text}\n`;
  });
  const head = "This extension contains code of these packages.\n";
  const line = `\n${"-".repeat(80)}\n\n`;
  fs.writeFileSync(path.join(here, "THIRD-PARTY-NOTICES.txt"), [head, ...texts].join(line));
}

/** The server's wheel, into `server/`: it is installed from there, without asking where to get it. */
function buildServer() {
  const root = path.join(here, "..", "..");
  const own = path.join(root, ".venv", process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  const python = process.env.PYTHON ?? (fs.existsSync(own) ? own : "python3");
  const out = path.join(here, "server");
  fs.rmSync(out, { recursive: true, force: true });
  execFileSync(python, ["-m", "build", "--wheel", "--no-isolation", "--outdir", out, root], { stdio: ["ignore", "ignore", "inherit"] });
}
