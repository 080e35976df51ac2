// Fine Uploader 5.16.2 in Chromium: the client whose field names (`qquuid`, `qqpartindex`, …) the documents use.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { asFile, launchBrowser, openPage } from '../lib/browser.mjs';
import { expectBytes, expectError, expectFile, expectSameFile } from '../lib/expect.mjs';
import { servePage } from '../lib/pages.mjs';
import { startProxy } from '../lib/proxy.mjs';
import { noise, png } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';

const PART = 200_000;
const TIMEOUT = { timeout: 40_000 };

let server, pages, browser;

before(async () => {
  server = await startServer({ HAVERSACK_MAX_FILE_SIZE: '3MiB' });
  pages = await servePage('fine-uploader.js');
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await pages?.close();
  await server?.stop();
});

const chunking = ({ concurrent = false, endpoint = server.uploads } = {}) => ({
  enabled: true,
  partSize: PART,
  concurrent: { enabled: concurrent },
  success: { endpoint: `${endpoint}?done` },
});

/** Opens a page with an uploader of its own, closed when test `t` ends. */
async function openUploader(t, options = {}) {
  const common = { endpoint: server.uploads, token: server.token() };
  const client = await openPage(browser, pages.url, { ...common, ...options });
  t.after(client.close);
  client.choose = (...file) => client.page.setInputFiles('input', asFile(...file));
  client.reload = (changed) => client.open({ ...common, ...changed });
  return client;
}

/** Repeats the done that the page sent, from the same user. */
async function repeatDone(uuid, filename) {
  const response = await fetch(`${server.uploads}?done`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${server.token()}` },
    body: new URLSearchParams({ qquuid: uuid, qqfilename: filename }),
  });
  assert.equal(response.status, 200);
  return response.json();
}

async function fileStatus(uuid) {
  const response = await fetch(`${server.uploads}${uuid}/file/`, { headers: { Authorization: `Bearer ${server.token()}` } });
  await response.arrayBuffer();
  return response.status;
}

test('a small file goes up in one request, under the uuid that the page made', TIMEOUT, async (t) => {
  const bytes = png(100);
  const client = await openUploader(t);
  await client.choose('dots.png', 'image/png', bytes);
  const { uuid, response } = await client.reported('complete');
  await expectFile(response, bytes, { uuid, filename: 'dots.png', mimetype: 'image/png' });
});

test('every header of the client passes the preflight', TIMEOUT, async (t) => {
  const client = await openUploader(t);
  await client.choose('note.txt', 'text/plain', Buffer.from('hello'));
  await client.reported('complete');
  const [upload] = client.requests('POST', '/pm/upload/');
  const headers = await upload.allHeaders();
  assert.equal(headers.origin, new URL(pages.url).origin, 'the page is on another origin');
  assert.equal(headers['x-requested-with'], 'XMLHttpRequest');
  assert.equal(headers['cache-control'], 'no-cache');
});

test('chunks in series end in one File', TIMEOUT, async (t) => {
  const bytes = noise(PART * 3 + 123, 10);
  const client = await openUploader(t, { chunking: chunking() });
  await client.choose('series.bin', 'application/octet-stream', bytes);
  const { uuid, response } = await client.reported('complete');
  assert.equal(client.countReported('chunk'), 4);
  await expectFile(response, bytes, { uuid, filename: 'series.bin' });
  await expectSameFile(await repeatDone(uuid, 'series.bin'), response, bytes);
});

test('a name outside ASCII comes back as it was', TIMEOUT, async (t) => {
  const bytes = noise(PART + 1, 11);
  const client = await openUploader(t, { chunking: chunking() });
  await client.choose('città “più” 🎒.bin', 'application/octet-stream', bytes);
  const { uuid, response } = await client.reported('complete');
  await expectFile(response, bytes, { uuid, filename: 'città “più” 🎒.bin' });
});

test('concurrent chunks, in whatever order they arrive, end in one File', TIMEOUT, async (t) => {
  const bytes = noise(PART * 9 + 7, 12);
  const client = await openUploader(t, { chunking: chunking({ concurrent: true }) });
  await client.choose('parallel.bin', 'application/octet-stream', bytes);
  const { uuid, response } = await client.reported('complete');
  assert.equal(client.countReported('chunk'), 10);
  await expectFile(response, bytes, { uuid, filename: 'parallel.bin' });
  await expectSameFile(await repeatDone(uuid, 'parallel.bin'), response, bytes);
});

test('two files at once keep their bytes apart', TIMEOUT, async (t) => {
  const sent = { 'one.bin': noise(PART * 4 + 1, 13), 'two.bin': noise(PART * 4 + 1, 14) };
  const client = await openUploader(t, { chunking: chunking({ concurrent: true }) });
  await client.page.setInputFiles(
    'input',
    Object.entries(sent).map(([name, bytes]) => asFile(name, 'application/octet-stream', bytes)),
  );
  for (let i = 0; i < 2; i++) {
    const { uuid, response } = await client.reported('complete');
    await expectFile(response, sent[response.filename], { uuid });
  }
});

test('an upload paused in the middle of a chunk is resumed after a page reload', TIMEOUT, async (t) => {
  const bytes = noise(PART * 5 + 50, 15);
  const client = await openUploader(t, { chunking: chunking(), resume: true, pauseAfterBytes: PART * 2 });
  await client.choose('resumed.bin', 'application/octet-stream', bytes);
  const uuid = await client.reported('paused');
  assert.equal(client.countReported('chunk'), 2);

  await client.reload({ chunking: chunking(), resume: true });
  await client.choose('resumed.bin', 'application/octet-stream', bytes);

  assert.deepEqual(await client.reported('resume'), { uuid, index: 2 });
  const { uuid: finished, response } = await client.reported('complete');
  assert.equal(finished, uuid);
  assert.equal(client.countReported('chunk'), 6, 'no finished chunk was sent again');
  await expectFile(response, bytes, { uuid, filename: 'resumed.bin' });
});

for (const concurrent of [false, true]) {
  const how = concurrent ? 'concurrent chunks' : 'chunks in series';
  test(`${how} are sent again after the connection is cut in the middle of one`, TIMEOUT, async (t) => {
    const bytes = noise(PART * 6 + 99, concurrent ? 17 : 16);
    // Two cuts: a browser silently repeats a request once when a kept-alive connection breaks under it.
    const proxy = await startProxy(server.url, [PART * 2.5, PART * 0.5]);
    t.after(proxy.close);
    const endpoint = `${proxy.url}/api/v2/pm/upload/`;
    const client = await openUploader(t, {
      endpoint,
      chunking: chunking({ concurrent, endpoint }),
      retry: { enableAuto: true, maxAutoAttempts: 3, autoAttemptDelay: 0 },
    });
    await client.choose('cut.bin', 'application/octet-stream', bytes);
    const { uuid, response } = await client.reported('complete');
    assert.equal(proxy.cutsLeft(), 0);
    assert.ok(client.countReported('retry') >= 1, 'the client noticed and retried');
    assert.equal(response.success, true, response.error);
    await expectFile(response, bytes, { uuid, filename: 'cut.bin' });
  });
}

for (const deleteMethod of ['DELETE', 'POST']) {
  test(`a finished file is deleted with ${deleteMethod}`, TIMEOUT, async (t) => {
    const bytes = noise(PART + 5, 18);
    const client = await openUploader(t, { chunking: chunking(), deleteMethod });
    await client.choose('deleted.bin', 'application/octet-stream', bytes);
    const { uuid, response } = await client.reported('complete');
    await expectBytes(response.file_url, bytes);

    await client.page.evaluate(() => window.uploader.deleteFile(0));
    const { status, isError } = await client.reported('deleted');
    assert.equal(isError, false, `answered ${status}`);
    assert.ok([404, 410].includes(await fileStatus(uuid)));
    const bare = await fetch(response.file_url);
    assert.ok([403, 404, 410].includes(bare.status), `the link is dead, not ${bare.status}`);
  });
}

for (const chunked of [false, true]) {
  test(`why a file is too large reaches the page, ${chunked ? 'in chunks' : 'in one request'}`, TIMEOUT, async (t) => {
    const client = await openUploader(t, {
      chunking: chunked ? chunking() : undefined,
      retry: { enableAuto: true, autoAttemptDelay: 0 },
    });
    await client.choose('huge.bin', 'application/octet-stream', noise(4 << 20, 19));
    const { response } = await client.reported('complete');
    assert.equal(response.success, false);
    assert.equal(response.preventRetry, true);
    assert.equal(client.countReported('retry'), 0, 'a file that can never fit is not tried again');
    const message = expectError(response, { field: 'file' });
    assert.equal(await client.page.textContent('#message'), message);
    assert.match(message, /\d/, 'the limit is named');
  });
}

test('why a token is refused reaches the page', TIMEOUT, async (t) => {
  const client = await openUploader(t, { token: 'not.a.token' });
  await client.choose('note.txt', 'text/plain', Buffer.from('hello'));
  const { response } = await client.reported('complete');
  assert.equal(await client.page.textContent('#message'), expectError(response));
});
