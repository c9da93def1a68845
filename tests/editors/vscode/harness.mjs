// A page with VS Code in it, driven as a user does: keys, clicks, and what can be read on the screen.
// Every wait is for a state; a state that does not come fails after PATIENCE.

import { createRequire } from "node:module";
import * as fs from "node:fs";
import * as path from "node:path";

const PATIENCE = Number(process.env.PATIENCE ?? 90_000);
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--no-first-run",
];

/** What test_vscode.py hands over: editors, port, folder, artifacts, and facts of the single test. */
export const given = JSON.parse(process.argv[2]);

const { chromium } = createRequire(path.join(given.editors, "node_modules", "x"))("playwright-core");

/** Open a browser and run a scenario in it; a picture and the screen's text are kept when it fails. */
export async function scenario(run) {
  const browser = await chromium.launch({ executablePath: given.chromium, args: FLAGS });
  const context = await browser.newContext({ viewport: { width: 1100, height: 700 }, deviceScaleFactor: 1 });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const asked = [];
  await context.route("**/*", (route) => {
    const url = new URL(route.request().url());
    if (["127.0.0.1", "localhost"].includes(url.hostname) || !url.protocol.startsWith("http")) return route.continue();
    asked.push(url.href);
    return route.abort();
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const code = new Code(page, context);
  try {
    await run(code);
    if (asked.length > 0) throw new Error(`the network was asked: ${asked.join(", ")}`);
    process.exitCode = 0;
  } catch (error) {
    process.exitCode = 1;
    console.error(error.stack ?? String(error));
    for (const [number, each] of context.pages().entries()) {
      await new Code(each, context).picture(`failed-${number}`).catch(() => undefined);
      console.error(`on screen ${number}: ${await each.evaluate(() => document.body.innerText).catch(String)}`);
    }
  }
  await browser.close();
}

export class Code {
  patience = PATIENCE;

  constructor(page, context) {
    this.page = page;
    this.context = context;
  }

  /** Open the folder of the test, and a file in it if one is named. */
  async open(file, folder = given.work) {
    const payload = file === undefined ? [] : [["openFile", `vscode-remote://127.0.0.1:${given.port}${path.join(folder, file)}`]];
    await this.visit(folder, payload);
    if (file !== undefined) await this.editor();
  }

  /** Load VS Code with a folder (null: none). */
  async visit(folder, payload) {
    const where = folder === null ? "ew=true" : `folder=${encodeURIComponent(folder)}`;
    await this.page.goto(`http://127.0.0.1:${given.port}/?${where}&payload=${encodeURIComponent(JSON.stringify(payload))}`);
  }

  /** Wait for a text editor. */
  async editor() {
    await this.page.locator(".monaco-editor .view-lines").first().waitFor();
  }

  /** Wait until the status bar says something that fits; what it says then. */
  async status(pattern) {
    const item = this.page.locator(".statusbar-item", { hasText: pattern });
    await item.first().waitFor();
    return (await item.first().innerText()).trim();
  }

  /** Put the cursor at the end of the open file. */
  async end() {
    await this.page.locator(".monaco-editor .view-lines").first().click();
    await this.page.keyboard.press("Control+End");
  }

  /** Replace the whole text, and leave the cursor at its end. */
  async fresh(text) {
    await this.page.locator(".monaco-editor .view-lines").first().click();
    await this.press("Escape", "Control+a", "Delete");
    await this.noGhost();
    await this.type(text);
  }

  async type(text) {
    await this.page.keyboard.type(text);
  }

  async press(...keys) {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  /** The lines of the open file as they are drawn: ghost text is among them. */
  async lines() {
    return this.page.evaluate(() => {
      const drawn = [...document.querySelectorAll(".monaco-editor .view-line")];
      const top = (line) => Number.parseInt(line.style.top, 10);
      return drawn.sort((a, b) => top(a) - top(b)).map((line) => line.textContent.replaceAll("\u00a0", " "));
    });
  }

  /** Wait until what is drawn holds a text, or does not. */
  async drawn(text, { gone = false } = {}) {
    await this.page.waitForFunction(
      ([text, gone]) => {
        const all = [...document.querySelectorAll(".monaco-editor .view-line")].map((line) => line.textContent.replaceAll("\u00a0", " "));
        return all.some((line) => line.includes(text)) !== gone;
      },
      [text, gone],
    );
  }

  /** Wait until the ghost text is this. */
  async ghost(text) {
    await this.page.waitForFunction((text) => {
      const parts = [...document.querySelectorAll(".ghost-text-decoration")];
      return parts.map((part) => part.textContent.replaceAll("\u00a0", " ")).join("").trim() === text;
    }, text);
  }

  /** Wait until there is none. */
  async noGhost() {
    await this.page.waitForFunction(() => document.querySelectorAll(".ghost-text-decoration").length === 0);
  }

  /** Wait until something is so that the page does not tell of itself. */
  async until(condition, what) {
    for (const end = Date.now() + PATIENCE; !(await condition()); await this.page.waitForTimeout(50)) {
      if (Date.now() > end) throw new Error(`it did not come to this: ${what}`);
    }
  }

  /** Open the menu of the status bar. */
  async menu() {
    await this.page.locator(".statusbar-item", { hasText: /coderls/ }).first().click();
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: "Run doctor" }).first().waitFor();
  }

  /** Run a command by its title. */
  async command(title) {
    await this.page.keyboard.press("F1");
    const input = this.page.locator(".quick-input-widget input");
    await input.waitFor();
    await input.fill(`>${title}`);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first().click();
  }

  /** Choose an entry of the list that is open. */
  async choose(text) {
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: text }).first().click();
  }

  /** Wait for a notification, and take one of its buttons if one is named. */
  async notified(pattern, button) {
    // Toasts are off while tests drive VS Code; what they would say is behind the bell.
    await this.page.locator('.statusbar-item[id="status.notifications"] .codicon-bell-dot').waitFor();
    await this.page.locator('.statusbar-item[id="status.notifications"]').click();
    const note = this.page.locator(".notification-list-item", { hasText: pattern }).first();
    await note.waitFor();
    if (button !== undefined) await note.locator(".monaco-button", { hasText: button }).click();
    else await this.press("Escape");
  }

  /** The document inside of a webview that shows this text. */
  async webview(text) {
    const until = Date.now() + PATIENCE;
    for (;;) {
      for (const frame of this.page.frames()) {
        const found = await frame.evaluate((text) => document.body?.innerText.includes(text), text).catch(() => false);
        if (found && frame !== this.page.mainFrame()) return frame;
      }
      if (Date.now() > until) throw new Error(`no webview shows ${text}`);
      await this.page.waitForTimeout(50);
    }
  }

  async picture(name, clip) {
    fs.mkdirSync(given.artifacts, { recursive: true });
    await this.page.screenshot({ path: path.join(given.artifacts, `${given.name}-${name}.png`), ...(clip ? { clip } : {}) });
  }
}

export function same(found, expected, what) {
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
  }
}

export function holds(condition, what) {
  if (!condition) throw new Error(what);
}
