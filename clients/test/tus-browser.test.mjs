// tus-js-client in Chromium: pages come from another origin, so every header must pass CORS.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { asFile, launchBrowser, openPage } from '../lib/browser.mjs';
import { expectBytes } from '../lib/expect.mjs';
import { onDisk } from '../lib/haversack.mjs';
import { servePage } from '../lib/pages.mjs';
import { noise, png } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';
import { expectUploaded } from '../lib/tus.mjs';

const TIMEOUT = { timeout: 40_000 };

let server, pages, browser;

before(async () => {
  server = await startServer();
  pages = await servePage('tus.js');
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await pages?.close();
  await server?.stop();
});

/** Opens a page with the client, closed when test `t` ends. */
async function openClient(t, options = {}) {
  const common = { endpoint: server.tus, token: server.token() };
  const client = await openPage(browser, pages.url, { ...common, ...options });
  t.after(client.close);
  client.choose = (...files) => client.page.setInputFiles('input', files);
  client.reload = (changed) => client.open({ ...common, ...changed });
  client.sent = (method) => client.requests(method, '/api/v2/tus').length;
  return client;
}

test('a file goes up in one PATCH, and the page can read the File from the reply', TIMEOUT, async (t) => {
  const bytes = png(300);
  const client = await openClient(t);
  await client.choose(asFile('dots.png', 'image/png', bytes));
  const { url, fileUuid, fileUrl } = await client.reported('complete');
  assert.equal(client.sent('PATCH'), 1);
  const file = await expectUploaded(server, url, bytes, { filename: 'dots.png', mimetype: 'image/png' });
  assert.equal(fileUuid, file.uuid);
  await expectBytes(fileUrl, bytes);
});

for (const [what, upload, posts, patches] of [
  ['in chunks', { chunkSize: 200_000 }, 1, 4],
  ['with its first bytes in the request that creates it', { chunkSize: 200_000, uploadDataDuringCreation: true }, 1, 3],
  ['in pieces side by side', { parallelUploads: 3 }, 4, 3],
  ['by POST instead of PATCH', { chunkSize: 200_000, overridePatchMethod: true, addRequestId: true }, 5, 0],
]) {
  test(`a file goes up ${what}`, TIMEOUT, async (t) => {
    const bytes = noise(700_000, 1);
    const client = await openClient(t, { upload });
    await client.choose(asFile('a.bin', 'application/octet-stream', bytes));
    const { url } = await client.reported('complete');
    assert.deepEqual([client.sent('POST'), client.sent('PATCH')], [posts, patches]);
    await expectUploaded(server, url, bytes, { filename: 'a.bin' });
  });
}

test('a stream whose length follows with its last bytes goes up', TIMEOUT, async (t) => {
  const bytes = noise(700_000, 2);
  const client = await openClient(t, { asStream: true, upload: { chunkSize: 200_000, uploadLengthDeferred: true } });
  await client.choose(asFile('a.bin', 'application/octet-stream', bytes));
  const { url } = await client.reported('complete');
  await expectUploaded(server, url, bytes, { filename: 'a.bin' });
});

test('an upload that was paused goes on after a reload', TIMEOUT, async (t) => {
  const bytes = noise(900_000, 3);
  const [path] = await onDisk(t, { 'film.bin': bytes });
  const upload = { chunkSize: 200_000 };
  const client = await openClient(t, { upload, pauseAfterBytes: 400_000 });
  await client.choose(path);
  const { url: begun, accepted } = await client.reported('paused');
  await client.reload({ upload, resume: true });
  const patches = client.sent('PATCH');
  await client.choose(path);
  const { url } = await client.reported('complete');
  assert.equal(url, begun, 'the same upload');
  assert.equal(client.sent('PATCH') - patches, Math.ceil((bytes.length - accepted) / 200_000));
  await expectUploaded(server, url, bytes, { filename: 'film.bin' });
});

test('a reload in the middle of the one PATCH loses less than what is on record every 8 MiB', TIMEOUT, async (t) => {
  const bytes = noise(30_000_000, 4);
  const [path] = await onDisk(t, { 'film.bin': bytes });
  const client = await openClient(t, {});
  const first = new Promise((resolve) => client.page.on('request', (r) => r.method() === 'PATCH' && resolve(r)));
  await client.choose(path);
  await first;
  await client.reload({ resume: true });
  await client.choose(path);
  const { url } = await client.reported('complete');
  await expectUploaded(server, url, bytes, { filename: 'film.bin' });
});
