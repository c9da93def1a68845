// Settings: what goes to the server, and what is changed for the user.

import * as vscode from "vscode";

export const SECTION = "coderls";
/** Groups of settings that are the extension's own. */
const OWN = ["server", "trace"];

/** What the server gets when it asks for its options: without what is the extension's own. */
export function forServer(options: unknown): unknown {
  if (typeof options !== "object" || options === null || Array.isArray(options)) return options;
  return Object.fromEntries(Object.entries(options).filter(([name]) => !OWN.includes(name)));
}

/** The keys of the server's options, as the manifest lists them. */
export function settingKeys(manifest: unknown): string[] {
  const { contributes } = manifest as { contributes: { configuration: { properties: object }[] } };
  const keys = contributes.configuration.flatMap((group) => Object.keys(group.properties).map((key) => key.slice(SECTION.length + 1)));
  return keys.filter((key) => !OWN.includes(key.split(".", 1)[0] ?? ""));
}

/** Options that the user has set, as `--set KEY=VALUE` of the server's command line; no secret is among them. */
export function asArguments(keys: readonly string[]): string[] {
  const settings = vscode.workspace.getConfiguration(SECTION);
  const changed = keys.filter((key) => {
    const isDefault = JSON.stringify(settings.get(key)) === JSON.stringify(settings.inspect(key)?.defaultValue);
    return !isDefault && !key.endsWith(".token");
  });
  return changed.flatMap((key) => ["--set", `${key}=${JSON.stringify(settings.get(key))}`]);
}

/** Switch completions of a language on or off, for this user. Whether they are on now. */
export async function toggleLanguage(language: string): Promise<boolean> {
  const settings = vscode.workspace.getConfiguration(SECTION);
  const off = settings.get<string[]>("completion.exclude_languages", []);
  const isOff = off.includes(language);
  const changed = isOff ? off.filter((each) => each !== language) : [...off, language];
  await settings.update("completion.exclude_languages", changed, vscode.ConfigurationTarget.Global);
  return isOff;
}

export function isLanguageOff(language: string): boolean {
  return vscode.workspace.getConfiguration(SECTION).get<string[]>("completion.exclude_languages", []).includes(language);
}
