// Drives headless Chromium: opens a page in a profile of its own, and hears what the page reports.
// Pages call `report(name, value)`; tests wait with `reported(name)`: no test sleeps or polls.
import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const PATIENCE_MS = 20_000;

/** A running Chromium; each test opens a page in it. */
export function launchBrowser() {
  return chromium.launch({ executablePath: EXECUTABLE, headless: true, args: FLAGS });
}

/** Opens `url` with `options` in its query; the returned object wraps the Playwright `page`. */
export async function openPage(browser, url, options) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);

  const reports = new Map(); // name -> values not yet taken, or one waiting taker
  const slot = (name) => {
    if (!reports.has(name)) reports.set(name, { values: [], taker: null });
    return reports.get(name);
  };
  await context.exposeFunction('report', (name, value) => {
    const waiting = slot(name);
    if (waiting.taker) waiting.taker(value);
    else waiting.values.push(value);
  });

  const trouble = [];
  page.on('pageerror', (error) => trouble.push(`page error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') trouble.push(`console: ${message.text()}`);
  });

  const requests = [];
  page.on('request', (request) => requests.push(request));

  /** The next value reported under `name`, waiting for it if need be. */
  const reported = (name) => {
    const waiting = slot(name);
    if (waiting.values.length) return Promise.resolve(waiting.values.shift());
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        waiting.taker = null;
        reject(new Error([`The page did not report "${name}" within ${PATIENCE_MS} ms.`, ...trouble].join('\n')));
      }, PATIENCE_MS);
      waiting.taker = (value) => {
        clearTimeout(late);
        waiting.taker = null;
        resolve(value);
      };
    });
  };

  /** Loads the page, again or at first, with `options` in its query; its storage is kept. */
  const open = async (options) => {
    const broken = new Promise((_, reject) => page.once('pageerror', reject));
    broken.catch(() => {}); // an error after loading is not this function's
    await page.goto(`${url}?${new URLSearchParams({ options: JSON.stringify(options) })}`);
    await Promise.race([reported('ready'), broken]);
  };
  await open(options);

  return {
    page,
    open,
    reported,
    /** How many values are reported under `name` and not yet taken. */
    countReported: (name) => slot(name).values.length,
    /** Requests so far of `method` whose URL has `part` in it, oldest first. */
    requests: (method, part) => requests.filter((r) => r.method() === method && r.url().includes(part)),
    close: () => context.close(),
  };
}

/** What a file input takes for `bytes` called `name`. */
export const asFile = (name, mimeType, bytes) => ({ name, mimeType, buffer: bytes });
