// What the status bar says: from what the server says, and from what only the extension knows.

/** What the server sends as `coderls/status`. */
export interface ServerStatus {
  state: "starting" | "loading" | "ready" | "slow" | "offline" | "paused" | "off" | "error";
  text: string;
  detail: string;
  percent: number | null;
  model: string;
  device: string;
  log: string;
}

/** What is shown: a state of the server or of the way to it. */
export interface Shown {
  kind: ServerStatus["state"] | "absent" | "installing" | "failed" | "excluded" | "untold";
  /** A few words. */
  text: string;
  /** Whole sentences: why it is so, and what to do. */
  detail: string;
  model?: string;
}

export interface Appearance {
  text: string;
  tooltip: string;
  severity: "none" | "warning" | "error";
}

const ICONS: Record<Shown["kind"], string> = {
  starting: "$(loading~spin)",
  loading: "$(loading~spin)",
  installing: "$(loading~spin)",
  ready: "$(check)",
  slow: "$(watch)",
  offline: "$(debug-disconnect)",
  paused: "$(debug-pause)",
  off: "$(circle-slash)",
  excluded: "$(circle-slash)",
  untold: "$(check)",
  absent: "$(cloud-download)",
  error: "$(error)",
  failed: "$(error)",
};

/** `excluded`: why nothing is completed in the active file, "" where something is. `language`: switched off, or "". */
export function shownOf(status: ServerStatus, excluded: string): Shown {
  const covered = status.state === "ready" || status.state === "slow" || status.state === "loading" || status.state === "starting";
  if (covered && excluded) {
    return { kind: "excluded", text: "not in this file", detail: `No completions here: ${excluded}.`, model: status.model };
  }
  return { kind: status.state, text: status.text, detail: status.detail, model: status.model };
}

export function appearance(shown: Shown): Appearance {
  const failed = shown.kind === "error" || shown.kind === "failed";
  const warned = shown.kind === "offline" || shown.kind === "absent";
  return {
    text: `${ICONS[shown.kind]} coderls${shown.text ? `: ${shortened(shown.text)}` : ""}`,
    tooltip: [`coderls: ${shown.text}`, shown.detail, "Click for the menu."].filter((line) => line !== "").join("\n\n"),
    severity: failed ? "error" : warned ? "warning" : "none",
  };
}

/** Whether a value is what `coderls/status` sends; servers of other versions may send anything. */
export function isServerStatus(value: unknown): value is ServerStatus {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Record<string, unknown>;
  const known = typeof fields.state === "string" && fields.state in ICONS;
  return known && ["text", "detail", "model", "device", "log"].every((name) => typeof fields[name] === "string");
}

const LONGEST = 48;

function shortened(text: string): string {
  const line = text.split("\n", 1)[0] ?? "";
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST - 1)}…`;
}
