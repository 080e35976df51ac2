// Drives the server's own page in Chromium: opens it by its link, watches it for errors, and gives it files. A page
// that violates its own Content-Security-Policy, logs an error or contacts another origin fails its test.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PATIENCE_MS = 20_000;
/** Size of the chunks into which the page cuts files, unless they are large. */
export const CHUNK = 1024 * 1024;

/** Creates a browser profile for test `t`. If there was `trouble`, the test fails when it ends. */
export async function openProfile(t, browser, server, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE_MS);
  const trouble = [];
  const { origin } = new URL(server.url);
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
      console.error(`policy: ${violatedDirective} ${blockedURI}`);
    });
  });
  context.on('weberror', (error) => trouble.push(`page error: ${error.error().message}`));
  context.on('console', (message) => {
    const refused = message.text().startsWith('Failed to load resource') && message.location().url.includes('/api/');
    if (message.type() === 'error' && !refused) trouble.push(`console: ${message.text()} ${message.location().url}`);
  });
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && url.origin !== origin) trouble.push(`another origin: ${url}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(trouble, []);
  });
  return context;
}

/**
 * Opens the page by a link for `userId`, or `at` another address. `route` is installed first, and with `clock`, the
 * page's time is `page.clock`. Resolves once the page shows its list, or `waitFor`.
 */
export async function openHaversack(t, browser, server, options = {}) {
  const { userId = newUser(), context, at, route, clock, waitFor = '#files', ...rest } = options;
  const profile = context ?? (await openProfile(t, browser, server, rest));
  const page = await profile.newPage();
  const link = at ?? (await server.pageLink('--user-id', String(userId)));
  const chunks = await watchChunks(page);
  if (route) await page.route(...route);
  if (clock) await page.clock.install();
  page.on('filechooser', () => {}); // catch choosers from the start: one that opens at once would be missed
  await page.goto(link);
  await page.locator(waitFor).waitFor();
  return { page, context: profile, chunks, link, userId, ...client(page, server, userId) };
}

let users = 100;
/** A user that no other test in this process uses. */
export const newUser = () => (users += 1);

function client(page, server, userId) {
  const row = (name) => page.locator(`#upload-rows li[data-name="${name}"]`);
  const file = (name) => page.locator(`#file-rows li[data-name="${name}"]`);
  return {
    row,
    file,
    choose: (...files) => page.setInputFiles('#picker', files),
    /** Resolves when the upload's row is in one of these states. */
    inState: (name, ...states) =>
      page.locator(states.map((state) => `#upload-rows li[data-name="${name}"][data-state=${state}]`).join()).waitFor(),
    /** Resolves when the file is in the list and its upload is gone. */
    async uploaded(name) {
      await file(name).waitFor();
      await row(name).waitFor({ state: 'detached' });
    },
    /** The link of a listed file. */
    async linkOf(name) {
      const { body } = await ask(server, userId, '');
      return body.results.find(({ filename }) => filename === name).url;
    },
    button: (name) => page.getByRole('button', { name, exact: true }),
  };
}

/**
 * Intercepts every chunk before it is sent. `chunks.rule` can be set to a function of the chunk and its Playwright
 * route. If it returns true, it has replied instead of the server; if it returns a promise, the chunk is held back.
 */
async function watchChunks(page) {
  const chunks = { seen: [], rule: null };
  const waiters = new Set();
  chunks.until = (test) =>
    new Promise((resolve) => {
      const look = () => chunks.seen.some(test) && (waiters.delete(look), resolve());
      waiters.add(look);
      look();
    });
  /** The indexes sent for `name`, in order. */
  chunks.of = (name) => chunks.seen.filter((chunk) => chunk.name === name).map((chunk) => chunk.index);
  /** Holds back chunk `index` of `name` until the returned function is called. */
  chunks.hold = (name, index) => {
    let release;
    const released = new Promise((resolve) => (release = resolve));
    chunks.rule = async (chunk) => {
      if (chunk.name === name && chunk.index === index) await released;
    };
    return () => {
      chunks.rule = null;
      release();
    };
  };
  await page.route('**/api/v2/pm/upload/', async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    const chunk = parse(route.request().postDataBuffer());
    chunks.seen.push(chunk);
    for (const look of waiters) look();
    const answered = await chunks.rule?.(chunk, route);
    // The page may have aborted the request in the meantime.
    if (!answered) await route.continue().catch(() => {});
  });
  return chunks;
}

function parse(body) {
  const head = body.subarray(0, 4096).toString('utf8');
  const field = (name) => new RegExp(`name="${name}"\r\n\r\n(.*)\r\n`).exec(head)?.[1];
  return {
    uuid: field('uuid'),
    name: field('filename'),
    index: Number(field('partindex')),
    total: Number(field('totalparts')),
    bytes: body.length,
  };
}

/** Drops files, each a `{name, mimeType, buffer}`, on the page. */
export async function drop(page, ...files) {
  const plain = files.map(({ name, mimeType, buffer }) => ({ name, mimeType, base64: buffer.toString('base64') }));
  const transfer = await page.evaluateHandle(async (files) => {
    const transfer = new DataTransfer();
    for (const { name, mimeType, base64 } of files) {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      transfer.items.add(new File([bytes], name, { type: mimeType }));
    }
    return transfer;
  }, plain);
  await page.dispatchEvent('main', 'drop', { dataTransfer: transfer });
}

/** Creates a folder with files of these names and bytes for test `t`. Returns their paths. */
export async function onDisk(t, files) {
  const folder = await mkdtemp(join(tmpdir(), 'haversack-page-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const paths = Object.keys(files).map((name) => join(folder, name));
  await Promise.all(paths.map((path, at) => writeFile(path, Object.values(files)[at])));
  return paths;
}

/** A refusal in the form of all errors of the server. */
export const refusal = (code, message, more = {}) => ({
  errors: [{ code, message }],
  success: false,
  error: message,
  preventRetry: false,
  ...more,
});

/** Asserts that `link` serves the bytes `sent`. Large ones are compared by their hash. */
export async function expectSent(link, sent) {
  const response = await fetch(link);
  assert.equal(response.status, 200, link);
  const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
  assert.equal(hash(Buffer.from(await response.arrayBuffer())), hash(sent), 'the same bytes as went in');
}

/** Sends a request to the server as a user. */
export async function ask(server, userId, path, options = {}) {
  const response = await fetch(`${server.uploads}${path}`, {
    ...options,
    headers: { Authorization: `Bearer ${server.token(userId)}` },
  });
  return { status: response.status, body: await response.json() };
}

/** Uploads a file without using the page. */
export async function store(server, userId, name, bytes) {
  const body = new FormData();
  body.append('filename', name);
  body.append('file', new Blob([bytes]), name);
  const { status, body: file } = await ask(server, userId, '', { method: 'POST', body });
  assert.equal(status, 200, file.error);
  return file;
}
