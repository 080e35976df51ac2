// Uppy in Chromium: core, dashboard, tus and golden-retriever, used as a person does.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { asFile, launchBrowser, openPage } from '../lib/browser.mjs';
import { servePage } from '../lib/pages.mjs';
import { mp4, noise, png } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';
import { expectUploaded } from '../lib/tus.mjs';

const TIMEOUT = { timeout: 40_000 };
const UPLOAD = '.uppy-StatusBar-actionBtn--upload';

let server, pages, browser;

before(async () => {
  server = await startServer();
  pages = await servePage('uppy.js');
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await pages?.close();
  await server?.stop();
});

/** Opens a page with Uppy, closed when test `t` ends. */
async function openUppy(t, options = {}) {
  const common = { endpoint: server.tus, token: server.token() };
  const client = await openPage(browser, pages.url, { ...common, ...options });
  t.after(client.close);
  client.choose = (...files) => client.page.locator('input.uppy-Dashboard-input').first().setInputFiles(files);
  client.reload = (changed) => client.open({ ...common, ...changed });
  return client;
}

/** All of these files, by name, and no others were uploaded. */
async function expectAll({ uploaded, failed }, sent) {
  assert.deepEqual(failed, []);
  assert.deepEqual(uploaded.map(({ name }) => name).sort(), Object.keys(sent).sort());
  for (const { name, url } of uploaded) await expectUploaded(server, url, sent[name], { filename: name });
}

test('several files go up at once', TIMEOUT, async (t) => {
  const sent = { 'clip.mp4': mp4(300_000), 'città.png': png(200), 'notes.bin': noise(900_000, 1), 'empty.txt': Buffer.alloc(0) };
  const types = { 'clip.mp4': 'video/mp4', 'città.png': 'image/png' };
  const client = await openUppy(t);
  const files = Object.entries(sent).map(([name, bytes]) => asFile(name, types[name] ?? 'application/octet-stream', bytes));
  await client.choose(...files);
  await client.page.click(UPLOAD);
  await expectAll(await client.reported('complete'), sent);
});

test('a file in chunks can be paused and goes on', TIMEOUT, async (t) => {
  const sent = { 'film.bin': noise(2_000_000, 2) };
  const client = await openUppy(t, { tus: { chunkSize: 200_000 } });
  await client.choose(asFile('film.bin', 'application/octet-stream', sent['film.bin']));
  await client.page.click(UPLOAD);
  let progress;
  do progress = await client.reported('progress');
  while (progress.bytesUploaded < 400_000);
  await client.page.evaluate(() => uppy.pauseAll());
  await client.page.evaluate(() => uppy.resumeAll());
  await expectAll(await client.reported('complete'), sent);
});

test('files are restored after a reload, and their uploads go on', TIMEOUT, async (t) => {
  const sent = { 'one.bin': noise(1_500_000, 3), 'two.bin': noise(1_200_000, 4) };
  const client = await openUppy(t, { tus: { chunkSize: 100_000 } });
  await client.choose(...Object.entries(sent).map(([name, bytes]) => asFile(name, 'application/octet-stream', bytes)));
  // Without a way on, so that the reload comes while it is under way.
  let left = 8;
  await client.page.route('**/api/v2/tus/*', (route) => {
    if (route.request().method() === 'PATCH' && (left -= 1) < 0) return; // never answered
    return route.continue();
  });
  await client.page.click(UPLOAD);
  let progress;
  do progress = await client.reported('progress');
  while (progress.bytesUploaded < 300_000);
  await client.page.unrouteAll({ behavior: 'ignoreErrors' });
  await client.reload({ tus: { chunkSize: 100_000 } });
  assert.deepEqual((await client.reported('restored')).sort(), Object.keys(sent).sort());
  const posts = client.requests('POST', '/api/v2/tus').length;
  await client.page.click(UPLOAD);
  await expectAll(await client.reported('complete'), sent);
  assert.equal(client.requests('POST', '/api/v2/tus').length, posts, 'no upload is begun anew');
});
