// stylua.mjs FOLDER OPTIONS FILE…: names the files that StyLua (in FOLDER) would write otherwise, by a .stylua.toml.

import * as fs from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, options, ...files] = process.argv.slice(2);
const stylua = await import(pathToFileURL(path.join(folder, "stylua_lib_node.mjs")));

/** A configuration is used up by one formatting. */
function configuration() {
  const made = stylua.Config.new();
  for (const [, name, value] of fs.readFileSync(options, "utf8").matchAll(/^(\w+) = "?(\w+)"?$/gm)) {
    const kind = { indent_type: stylua.IndentType, quote_style: stylua.QuoteStyle }[name];
    made[name] = kind === undefined ? Number(value) : kind[value];
  }
  return made;
}

for (const file of files) {
  const text = fs.readFileSync(file, "utf8");
  const formatted = stylua.formatCode(text, configuration(), undefined, stylua.OutputVerification.Full);
  if (formatted !== text) {
    console.log(file);
    process.exitCode = 1;
  }
}
