// Drives headless Chromium: opens a page in a profile of its own, and receives what the page reports.
// Pages call `report(name, value)`, and tests wait with `reported(name)`, so no test sleeps or polls.
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

/** A running Chromium, in which each test opens a page. */
export function launchBrowser() {
  return chromium.launch({ executablePath: EXECUTABLE, headless: true, args: FLAGS });
}

/** Opens `url` with `options` in its query; the returned object wraps the Playwright `page`. */
export async function openPage(browser, url, options) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);

  const reports = new Map(); // name -> values not read yet, or one waiting reader
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

  /** Resolves with the next value reported under `name`. */
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

  /** Loads or reloads the page with `options` in its query. Its storage is kept. */
  const open = async (options) => {
    const broken = new Promise((_, reject) => page.once('pageerror', reject));
    broken.catch(() => {}); // errors after loading are handled elsewhere
    await page.goto(`${url}?${new URLSearchParams({ options: JSON.stringify(options) })}`);
    await Promise.race([reported('ready'), broken]);
  };
  await open(options);

  return {
    page,
    open,
    reported,
    /** Number of values reported under `name` and not read yet. */
    countReported: (name) => slot(name).values.length,
    /** The requests so far with this method whose URL contains `part`, oldest first. */
    requests: (method, part) => requests.filter((r) => r.method() === method && r.url().includes(part)),
    close: () => context.close(),
  };
}

/** The value for a file input: a file called `name` that contains `bytes`. */
export const asFile = (name, mimeType, bytes) => ({ name, mimeType, buffer: bytes });
