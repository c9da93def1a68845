// What the server offers as next edit, checked, and how it is written beside the code. Nothing of VS Code in here.

export interface Place {
  line: number;
  character: number;
}

/** The answer of `coderls/nextEdit`. */
export interface NextEdit {
  id: number;
  textDocument: { uri: string; version: number };
  range: { start: Place; end: Place };
  newText: string;
  kind: string;
  /** One line. */
  reason: string;
  evidence: string[];
  /** So many like it would follow. */
  more: number;
}

/** Whether a value is what `coderls/nextEdit` answers; servers of other versions may say anything. */
export function isNextEdit(value: unknown): value is NextEdit {
  if (typeof value !== "object" || value === null) return false;
  const { id, textDocument, range, newText, reason, evidence, more } = value as Record<string, unknown>;
  const { uri, version } = (textDocument ?? {}) as Record<string, unknown>;
  const { start, end } = (range ?? {}) as Record<string, unknown>;
  return (
    [id, more, version].every((number) => typeof number === "number") &&
    [newText, reason, uri].every((text) => typeof text === "string") &&
    isPlace(start) &&
    isPlace(end) &&
    Array.isArray(evidence)
  );
}

function isPlace(value: unknown): value is Place {
  const place = value as Partial<Record<keyof Place, unknown>> | null | undefined;
  return typeof place?.line === "number" && typeof place.character === "number";
}

const LONGEST = 120;

/** The new text as one line of ghost text. Blanks would be drawn as one: they are no-break spaces. */
export function ghostOf(edit: NextEdit): string {
  const [first = "", ...rest] = edit.newText.split(/\r\n|\n|\r/);
  const line = rest.some((each) => each.trim() !== "") ? `${first} ⏎ …` : first;
  const short = line.length <= LONGEST ? line : `${line.slice(0, LONGEST - 1)}…`;
  return short.replaceAll("\t", "    ").replaceAll(" ", "\u00a0");
}

/** A few words for the end of the cursor's line, while the edit itself is out of sight. */
export function hintOf(edit: NextEdit, cursor: number): string {
  const way = edit.range.start.line < cursor ? "↑" : "↓";
  return `    ${way} line ${String(edit.range.start.line + 1)}: ${reasonOf(edit)}`.replaceAll(" ", "\u00a0");
}

/** Why, and how many more there are. */
export function reasonOf(edit: NextEdit): string {
  return edit.more > 0 ? `${edit.reason} (${String(edit.more)} more)` : edit.reason;
}

/** What the command does for a cursor: it goes there first, and takes the edit where the cursor is at it. */
export function stepAt(cursor: Place, edit: NextEdit): "go" | "take" {
  const { start, end } = edit.range;
  const after = cursor.line > start.line || (cursor.line === start.line && cursor.character >= start.character);
  const before = cursor.line < end.line || (cursor.line === end.line && cursor.character <= end.character);
  return after && before ? "take" : "go";
}
