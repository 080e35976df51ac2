// What README.md shows of each client, run as it stands there: only the server's address and the token are put in.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { asFile, launchBrowser, openPage } from '../lib/browser.mjs';
import { expectBytes } from '../lib/expect.mjs';
import { serveCode } from '../lib/pages.mjs';
import { snippet } from '../lib/readme.mjs';
import { noise, png } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';

const TIMEOUT = { timeout: 40_000 };
const FOLDER = join(import.meta.dirname, '..');

let server, browser;

before(async () => {
  server = await startServer();
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const codeOf = (client) => snippet(client, { url: server.url, token: server.token() });

/** A page with this code, whose uploader opens a chooser when `button` is clicked; returns what to do with it. */
async function openSnippet(t, code, button) {
  const pages = await serveCode(code);
  t.after(pages.close);
  const client = await openPage(browser, pages.url, {});
  t.after(client.close);
  const links = [];
  const waiting = [];
  client.page.on('console', (message) => {
    if (message.type() !== 'log') return;
    const taker = waiting.shift();
    taker ? taker(message.text()) : links.push(message.text());
  });
  return {
    link: () => (links.length ? Promise.resolve(links.shift()) : new Promise((resolve) => waiting.push(resolve))),
    async choose(...files) {
      const chooser = client.page.waitForEvent('filechooser');
      await client.page.locator(button).click();
      await (await chooser).setFiles(files);
    },
  };
}

/** Uploads all of these at once; each link that is logged shows one of them. */
async function expectUploaded(client, sent) {
  await client.choose(...Object.entries(sent).map(([name, bytes]) => asFile(name, 'application/octet-stream', bytes)));
  const left = new Set(Object.keys(sent));
  while (left.size) {
    const link = await client.link();
    const response = await fetch(`${link}&download`);
    const [, name] = /filename="(.*?)"/.exec(response.headers.get('content-disposition'));
    await response.arrayBuffer();
    assert.ok(left.delete(name), `${name} once`);
    await expectBytes(link, sent[name]);
  }
}

test('SelfCommunity', TIMEOUT, async (t) => {
  // Its ES modules are for bundlers only (they import folders).
  const folder = await mkdtemp(join(FOLDER, 'node_modules/.readme-'));
  t.after(() => rm(folder, { recursive: true }));
  const program = join(folder, 'snippet.mjs');
  const bundle = { platform: 'node', format: 'esm', bundle: true, write: false, logLevel: 'error' };
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  const stdin = { contents: codeOf('SelfCommunity'), resolveDir: FOLDER };
  const { outputFiles } = await build({ ...bundle, banner, stdin });
  await writeFile(program, outputFiles[0].contents);
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  await expectBytes(stdout.trim(), Buffer.from('Hello.'));
});

test('Fine Uploader', TIMEOUT, async (t) => {
  const page = `document.body.insertAdjacentHTML('beforeend', '<div id="choose">Choose</div>');\n`;
  const code = codeOf('Fine Uploader').replace('new qq.', `${page}new qq.`);
  const client = await openSnippet(t, code, '#choose input');
  await expectUploaded(client, { 'large.bin': noise(4_500_000, 1), 'small.png': png(40), 'empty.bin': Buffer.alloc(0) });
});

test('Uploady', TIMEOUT, async (t) => {
  const page = `
    import { createRoot } from 'react-dom/client';
    createRoot(document.querySelector('#root')).render(<Upload />);`;
  const client = await openSnippet(t, codeOf('Uploady') + page, 'button');
  await expectUploaded(client, { 'a.bin': noise(700_000, 2), 'b.bin': noise(500_000, 3), 'c.png': png(40), 'empty.bin': Buffer.alloc(0) });
});

test('tus-js-client', TIMEOUT, async (t) => {
  const page = `document.body.insertAdjacentHTML('beforeend', '<input id="choose" type="file" multiple>');\n`;
  const code = codeOf('tus-js-client').replace('document.querySelector', `${page}document.querySelector`);
  const client = await openSnippet(t, code, '#choose');
  await expectUploaded(client, { 'large.bin': noise(4_500_000, 4), 'small.png': png(40), 'empty.bin': Buffer.alloc(0) });
});

test('Uppy', TIMEOUT, async (t) => {
  const client = await openSnippet(t, codeOf('Uppy'), '.uppy-Dashboard-browse');
  await expectUploaded(client, { 'large.bin': noise(4_500_000, 5), 'small.png': png(40), 'empty.bin': Buffer.alloc(0) });
});
