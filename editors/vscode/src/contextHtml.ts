// The panel that shows what a completion was made from: data of `coderls.explain` as HTML. Nothing in it runs scripts.

export interface Piece {
  name: string;
  first_line: number;
  last_line: number;
  retriever: string;
  score: number;
  tokens: number;
}

export interface Explained {
  finish_reason: string;
  reused: string;
  tokens: { prompt: number; cached: number; completion: number };
  timings_ms: Record<string, number>;
  prompt: { kind: string; path: string; first_line: number; last_line: number; tokens: number }[];
  context: { path: string; tokens: number; pieces: Piece[] }[];
}

/** The command of a link to lines of a file of the workspace; its argument is [path, first line, last line]. */
export const OPEN_LINES = "coderls.openLines";

export function isExplained(value: unknown): value is Explained {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Record<string, unknown>;
  return Array.isArray(fields.prompt) && Array.isArray(fields.context) && typeof fields.tokens === "object";
}

/** The panel for a file's last completion; `explained` undefined: there was none. `sees`: policy source of the style. */
export function contextHtml(file: string, explained: Explained | undefined): string {
  const body = explained === undefined ? nothing(file) : something(file, explained);
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Context of the last completion</title>
<style>
body { font-family: var(--vscode-font-family); color: var(--vscode-foreground); padding: 0 1.5em 2em; max-width: 60em; }
h1 { font-size: 1.3em; } h2 { font-size: 1.1em; margin-top: 1.6em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.25em 1em 0.25em 0; border-bottom: 1px solid var(--vscode-widget-border, #8884); }
td.number, th.number { text-align: right; }
a { color: var(--vscode-textLink-foreground); text-decoration: none; } a:hover { text-decoration: underline; }
code { font-family: var(--vscode-editor-font-family); }
.bar { display: inline-block; height: 0.7em; background: var(--vscode-charts-blue, #3794ff); border-radius: 2px; }
p.note { color: var(--vscode-descriptionForeground); }
</style>
</head>
<body>
${body}
</body>
</html>`;
}

function nothing(file: string): string {
  return `<h1>No completion yet</h1>
<p>Nothing was completed in <code>${escaped(file)}</code> so far. When ghost text was shown there, this panel says which
lines of which files were in its prompt, and why.</p>`;
}

function something(file: string, explained: Explained): string {
  const most = Math.max(1, ...explained.prompt.map((part) => part.tokens));
  const rows = explained.prompt.map(
    (part) =>
      `<tr><td>${escaped(kindOf(part.kind))}</td><td>${link(part.path, part.first_line, part.last_line)}</td>` +
      `<td class="number">${String(part.tokens)}</td><td>${bar(part.tokens / most)}</td></tr>`,
  );
  return `<h1>Context of the last completion in <code>${escaped(file)}</code></h1>
<p>${summary(explained)}</p>
<h2>The prompt, in its order</h2>
<table><tr><th>part</th><th>lines</th><th class="number">tokens</th><th></th></tr>
${rows.join("\n")}
</table>
<h2>Why these pieces of other files</h2>
${pieces(explained)}
<h2>Time</h2>
<p>${times(explained.timings_ms)}</p>
<p class="note">Only what is listed here was in the prompt. Excluded files are not.</p>`;
}

function summary(explained: Explained): string {
  const { prompt, cached, completion } = explained.tokens;
  const origin =
    explained.reused === "shown"
      ? "It is what was left of a completion that was shown before; the model was not asked again."
      : explained.reused === "cache"
        ? "The same was asked before; the model was not asked again."
        : "It came from the model.";
  const cut = explained.finish_reason === "length" ? " It was cut at the token limit." : "";
  return `${origin}${cut} The prompt has ${String(prompt)} tokens, of which ${String(cached)} were still in the engine's memory; the completion has ${String(completion)}.`;
}

function pieces(explained: Explained): string {
  const rows = explained.context.flatMap((snippet) =>
    snippet.pieces.map(
      (piece) =>
        `<tr><td>${link(snippet.path, piece.first_line, piece.last_line)}</td><td><code>${escaped(piece.name)}</code></td>` +
        `<td>${escaped(piece.retriever)}</td><td class="number">${piece.score.toFixed(2)}</td><td class="number">${String(piece.tokens)}</td></tr>`,
    ),
  );
  if (rows.length === 0) return "<p>None: the prompt holds this file only.</p>";
  const head = `<tr><th>lines</th><th>name</th><th>found by</th><th class="number">score</th><th class="number">tokens</th></tr>`;
  return `<table>${head}\n${rows.join("\n")}\n</table>`;
}

function times(timings: Record<string, number>): string {
  const parts = Object.entries(timings).filter(([name, value]) => name !== "total" && value >= 0.05);
  const listed = parts.map(([name, value]) => `${escaped(name.replaceAll("_", " "))} ${value.toFixed(1)} ms`).join(", ");
  return `${(timings.total ?? 0).toFixed(1)} ms in all${listed ? `: ${listed}` : ""}.`;
}

function link(path: string, first: number, last: number): string {
  const lines = last > first ? `lines ${String(first)} to ${String(last)}` : `line ${String(first)}`;
  const target = `command:${OPEN_LINES}?${encodeURIComponent(JSON.stringify([path, first, last]))}`;
  return `<a href="${escaped(target)}">${escaped(path)}, ${lines}</a>`;
}

function bar(share: number): string {
  return `<span class="bar" style="width: ${(8 * share).toFixed(2)}em"></span>`;
}

function kindOf(kind: string): string {
  return kind === "prefix" ? "before the cursor" : kind === "suffix" ? "after the cursor" : kind;
}

function escaped(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (char) => names[char] ?? char);
}
