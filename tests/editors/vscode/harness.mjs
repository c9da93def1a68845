// A page with VS Code in it, driven as a user does: keys, clicks, and what can be read on the screen.
// Every wait is for a state; a state that does not come fails after PATIENCE.

import { createRequire } from "node:module";
import * as fs from "node:fs";
import * as path from "node:path";

const PATIENCE = Number(process.env.PATIENCE ?? 90_000);
/** How often the page is looked at; by itself with each picture that it draws, and it draws one for that. */
export const POLLING = { polling: 30 };
/** The item of the extension in the status bar. */
const ITEM = '.statusbar-item[id*="coderls"]';
/** The editor that has the focus, or had it last. */
const EDITOR = ".editor-group-container.active .monaco-editor .view-lines";
/** Text that is in the file, without what is only drawn there. */
const LINES = `${EDITOR} > .view-line`;

/** What test_vscode.py hands over: editors, port, folder, artifacts, and facts of the single test. */
export const given = JSON.parse(process.argv[2]);

const ORIGIN = `http://127.0.0.1:${given.port}/`;
const { chromium } = createRequire(path.join(given.editors, "node_modules", "x"))("playwright-core");

/**
 * Run a scenario in the browser of all scenes, in the window that they share or in one of its own. Of one that fails
 * pictures, texts and what the browser said are kept, and the next one gets a new window.
 */
export async function scenario(run) {
  const browser = await chromium.connectOverCDP(given.browser);
  const [context] = browser.contexts();
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await context.addInitScript(remember, ITEM);
  const asked = [];
  context.on("request", (request) => {
    const url = new URL(request.url()); // the browser finds no other host; that it looks for one is a fault all the same
    if (url.protocol.startsWith("http") && !["127.0.0.1", "localhost"].includes(url.hostname)) asked.push(url.href);
  });
  const heard = [];
  context.on("console", (message) => heard.push(`${new Date().toISOString()} ${message.type()}: ${message.text()}`));
  context.on("dialog", (dialog) => dialog.accept()); // leaving a page with unsaved text
  const before = context.pages().filter((page) => page.url().startsWith(ORIGIN));
  const shared = given.shared ? before[0] : undefined;
  const page = shared ?? (await context.newPage());
  const steps = [];
  const code = timed(new Code(page, context), steps);
  await code.prepare();
  let stays = before;
  try {
    if (shared !== undefined) await code.command("View: Join All Editor Groups");
    await run(code);
    if (asked.length > 0) throw new Error(`the network was asked: ${asked.join(", ")}`);
    if (given.shared) stays = [page];
    process.exitCode = 0;
  } catch (error) {
    process.exitCode = 1;
    console.error(error.stack ?? String(error));
    await keep(context, heard);
    stays = [];
  }
  await leave(context, stays);
  fs.mkdirSync(given.artifacts, { recursive: true });
  fs.writeFileSync(path.join(given.artifacts, `${given.name}-steps.log`), steps.join("\n"));
  await browser.close(); // the connection; the browser itself is test_vscode.py's
}

/** The same, and how long each step takes is noted: what became slow is found in the artifacts. */
function timed(code, steps) {
  const began = Date.now();
  const seconds = (from) => ((Date.now() - from) / 1000).toFixed(2).padStart(6);
  let inside = false;
  return new Proxy(code, {
    get(target, name, proxy) {
      const found = Reflect.get(target, name, proxy);
      if (typeof found !== "function" || inside) return found;
      return async (...args) => {
        const from = Date.now();
        inside = true; // what a step does itself is not a step
        try {
          return await found.apply(target, args);
        } finally {
          inside = false;
          steps.push(`${seconds(began)} ${seconds(from)} ${name} ${args.map(String).join(" ").slice(0, 80)}`);
        }
      };
    },
  });
}

/** What was on each page and what the browser said, among the artifacts. */
async function keep(context, heard) {
  for (const [number, page] of context.pages().entries()) {
    const each = new Code(page, context);
    await each.picture(`failed-${number}`).catch((error) => console.error(`no picture: ${error}`));
    const text = await page.evaluate(() => document.body.innerText).catch(String);
    const states = await page.evaluate(() => window.statesOfTest).catch(() => undefined);
    console.error(`on screen ${number}: ${text}\nstates: ${JSON.stringify(states)}`);
  }
  fs.mkdirSync(given.artifacts, { recursive: true });
  fs.writeFileSync(path.join(given.artifacts, `${given.name}-browser.log`), heard.join("\n"));
}

/** Leave windows as a user does who closes them: the server's side learns of it, and ends at once. */
async function leave(context, stays) {
  for (const page of context.pages().filter((each) => !stays.includes(each) && each.url().startsWith(ORIGIN))) {
    await page.goto("about:blank", { timeout: 20_000 }).catch((error) => console.error(String(error)));
    await page.close();
  }
}

/** Runs in each page: nothing moves in it; it keeps every text that the status bar's item had, and all ghost text, however short it was there. */
function remember(item) {
  if (window !== window.top) return;
  // What turns and moves is drawn anew all the time, by the processor here.
  const still = new CSSStyleSheet();
  still.replaceSync("*, *::before, *::after { animation: none !important; transition: none !important; }");
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, still];
  window.statesOfTest = [];
  window.ghostsOfTest = [];
  const add = (texts, text) => {
    if (text && text !== texts.at(-1)) texts.push(text);
  };
  const look = () => {
    add(window.statesOfTest, document.querySelector(item)?.textContent.trim());
    add(window.ghostsOfTest, [...document.querySelectorAll(".ghost-text-decoration")].map((part) => part.textContent).join(""));
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
}

/** Change settings of the machine, as the user does in the file: in one step, so that no half of it is read. */
export function set(settings) {
  const file = path.join(given.data, "Machine", "settings.json");
  const now = { ...JSON.parse(fs.readFileSync(file, "utf8")), ...settings };
  fs.writeFileSync(`${file}.new`, JSON.stringify(now, null, 1));
  fs.renameSync(`${file}.new`, file);
}

/** The ids of the language servers that windows have started. */
export function servers() {
  const found = fs.readdirSync("/proc").filter((id) => {
    try {
      return command(id).includes("--stdio") && fs.readlinkSync(`/proc/${id}/cwd`).startsWith(given.data);
    } catch {
      return false;
    }
  });
  // A child is called as its parent is until it becomes another program.
  return found.filter((id) => !found.includes(parent(id)));
}

function parent(id) {
  try {
    return fs.readFileSync(`/proc/${id}/stat`, "utf8").split(") ").at(-1).split(" ")[1];
  } catch {
    return "";
  }
}

/** How a process was started. */
export function command(id) {
  return fs.readFileSync(`/proc/${id}/cmdline`, "utf8").split("\0");
}

export class Code {
  patience = PATIENCE;

  constructor(page, context) {
    this.page = page;
    this.context = context;
  }

  async prepare() {
    this.page.setDefaultTimeout(PATIENCE);
    await this.page.setViewportSize({ width: 1100, height: 700 });
  }

  /** Open the folder of the test, and a file in it if one is named. */
  async open(file, folder = given.work) {
    if (file !== undefined && this.page.url().startsWith(this.address(folder))) return this.show(file);
    const payload = file === undefined ? [] : [["openFile", `vscode-remote://127.0.0.1:${given.port}${path.join(folder, file)}`]];
    await this.visit(folder, payload);
    if (file !== undefined) await this.editor();
  }

  /** Go to a file of the folder, in the window that is open. */
  async show(file) {
    const row = this.page.locator(`.explorer-folders-view .monaco-list-row[aria-label^="${file}"]`).first();
    const tab = this.page.locator(".editor-group-container.active .tab.active", { hasText: file });
    const opened = async () => {
      await row.dblclick({ timeout: SHORT }).catch(() => undefined);
      return appears(tab);
    };
    await this.until(opened, `${file} is shown`);
  }

  /** Load VS Code with a folder (null: none). */
  async visit(folder, payload) {
    await this.page.goto(`${this.address(folder)}&payload=${encodeURIComponent(JSON.stringify(payload))}`);
  }

  address(folder) {
    return `${ORIGIN}?${folder === null ? "ew=true" : `folder=${folder}`}`;
  }

  /** Wait for a text editor. */
  async editor() {
    await this.page.locator(".monaco-editor .view-lines").first().waitFor();
  }

  /** Wait until the status bar says something that fits. */
  async status(pattern) {
    await this.page.locator(ITEM, { hasText: pattern }).first().waitFor();
  }

  /** The number of states that the status bar has shown so far: a place to wait from. */
  async states() {
    return this.page.evaluate(() => window.statesOfTest.length);
  }

  /** Wait until the status bar, since that place, has shown these one after the other, and shows the last one. */
  async passed(since, ...patterns) {
    let seen = [];
    const came = async () => {
      seen = (await this.page.evaluate(() => window.statesOfTest)).slice(since);
      let from = 0;
      const inOrder = patterns.every((pattern) => {
        const found = seen.findIndex((text, index) => index >= from && pattern.test(text));
        from = found + 1;
        return found >= 0;
      });
      return inOrder && patterns.at(-1).test(seen.at(-1));
    };
    await this.until(came, () => `${patterns.join(", ")} in ${JSON.stringify(seen)}`);
  }

  /** Put the cursor at the end of the open file. */
  async end() {
    await this.page.locator(EDITOR).first().click();
    await this.page.keyboard.press("Control+End");
  }

  /** Replace the whole text, and leave the cursor at its end. */
  async fresh(text) {
    await this.page.locator(EDITOR).first().click();
    await this.press("Escape", "Control+a", "Delete");
    await this.noGhost();
    await this.type(text);
  }

  /** Type, line by line: VS Code indents the next line of a function only once it has read this one. */
  async type(text) {
    const [first, ...others] = text.split("\n");
    await this.page.keyboard.type(first);
    for (const [number, line] of others.entries()) {
      if ((others[number - 1] ?? first).startsWith("def ")) await this.coloured("def");
      await this.press("Enter");
      await this.page.keyboard.type(line);
    }
  }

  /** Wait until a word of the file has a colour of its own. */
  async coloured(word) {
    const spans = `${LINES} span:not(:has(span))`;
    await this.page.waitForFunction(([spans, word]) => [...document.querySelectorAll(spans)].some((span) => span.textContent === word), [spans, word], POLLING);
  }

  async press(...keys) {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  /** The lines of the open file as they are drawn, without ghost text. */
  async lines() {
    return this.page.evaluate((selector) => {
      const top = (line) => Number.parseInt(line.style.top, 10);
      const drawn = [...document.querySelectorAll(selector)].sort((a, b) => top(a) - top(b));
      return drawn.map((line) => {
        const copy = line.cloneNode(true);
        for (const ghost of copy.querySelectorAll('[class*="ghost-text"]')) ghost.remove();
        return copy.textContent.replaceAll("\u00a0", " ");
      });
    }, LINES);
  }

  /** Wait until a line of the open file holds a text. */
  async drawn(text) {
    let lines = [];
    const there = async () => (lines = await this.lines()).some((line) => line.includes(text));
    await this.until(there, () => `${JSON.stringify(text)} in ${JSON.stringify(lines)}`);
  }

  /** Wait until the ghost text is this. */
  async ghost(text) {
    await this.page.waitForFunction((text) => {
      const parts = [...document.querySelectorAll(".ghost-text-decoration")];
      return parts.map((part) => part.textContent.replaceAll("\u00a0", " ")).join("").trim() === text;
    }, text, POLLING);
  }

  /** Type something and take it back until the ghost text is this: where nothing says when there will be some. */
  async insist(text) {
    const came = async () => {
      await this.type("a");
      await this.press("Backspace");
      return appears(this.page.locator(".ghost-text-decoration", { hasText: text }).first());
    };
    await this.until(came, `the ghost text ${text}`);
  }

  /** All ghost texts that were there since the page was loaded. */
  async ghosts() {
    return this.page.evaluate(() => window.ghostsOfTest.map((text) => text.replaceAll("\u00a0", " ")));
  }

  /** Wait until there is none. */
  async noGhost() {
    await this.page.waitForFunction(() => document.querySelectorAll(".ghost-text-decoration").length === 0, undefined, POLLING);
  }

  /** Wait until something is so that the page does not tell of itself. */
  async until(condition, what) {
    for (const end = Date.now() + PATIENCE; !(await condition()); await this.page.waitForTimeout(50)) {
      if (Date.now() > end) throw new Error(`it did not come to this: ${typeof what === "function" ? what() : what}`);
    }
  }

  /** Open the menu of the status bar, and take an entry if one is named. */
  async menu(entry) {
    const rows = this.page.locator(".quick-input-list .monaco-list-row");
    const opened = async () => {
      // A list closes when something else takes the focus; a user opens it again.
      await this.page.locator(ITEM).first().click();
      if (!(await appears(rows.filter({ hasText: "Run doctor" }).first()))) return false;
      return entry === undefined || taken(rows.filter({ hasText: entry }).first());
    };
    await this.until(opened, `the menu, and ${entry ?? "nothing"} in it`);
  }

  /** Run a command by its title. */
  async command(title) {
    const input = this.page.locator(".quick-input-widget input");
    const row = this.page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first();
    const ran = async () => {
      await this.page.keyboard.press("F1");
      if (!(await appears(input))) return false;
      await input.fill(`>${title}`, { timeout: SHORT }).catch(() => undefined);
      return (await appears(row)) && taken(row);
    };
    await this.until(ran, `the command ${title}`);
  }

  /** Open the list of code actions at the cursor, and take one if `take`. */
  async action(pattern, { key = "Control+.", take = true } = {}) {
    const row = this.page.locator(".action-widget .monaco-list-row", { hasText: pattern }).first();
    // The list closes when new ghost text lands: a user opens it again.
    const opened = async () => {
      await this.press(key);
      return (await appears(row)) && (!take || taken(row));
    };
    await this.until(opened, `the action ${pattern}`);
  }

  /** Choose an entry of the list that is open. */
  async choose(text) {
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: text }).first().click();
  }

  /** Wait for a notification, and take one of its buttons if one is named. */
  async notified(pattern, button) {
    const note = this.page.locator(".notification-list-item", { hasText: pattern }).first();
    const bell = this.page.locator('.statusbar-item[id="status.notifications"]');
    const seen = async () => {
      // Where no toast is shown (tests that drive VS Code have none), it is behind the bell.
      if (await note.isVisible()) return true;
      if (await bell.locator(".codicon-bell-dot").isVisible()) await bell.click();
      return appears(note);
    };
    await this.until(seen, `a notification: ${pattern}`);
    if (button !== undefined) await note.locator(".monaco-button", { hasText: button }).click();
    else if (await this.page.locator(".notifications-center.visible").isVisible()) await bell.click();
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

/** Long enough to be drawn; what was not by then is asked for again. */
const SHORT = 5_000;

async function appears(locator) {
  return locator.waitFor({ timeout: SHORT }).then(
    () => true,
    () => false,
  );
}

async function taken(locator) {
  return locator.click({ timeout: SHORT }).then(
    () => true,
    () => false,
  );
}
