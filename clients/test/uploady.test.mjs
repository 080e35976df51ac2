// The vendor's MessageMediaUploader (over @rpldy/chunked-uploady) in Chromium: what a user of the web page does.
// A picture is re-encoded by the page before it is sent; so what "went in" is asked of the page's own File object.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { asFile, launchBrowser, openPage } from '../lib/browser.mjs';
import { download, expectBytes, expectError, expectFile, expectSameFile, expectThumbnail } from '../lib/expect.mjs';
import { servePage } from '../lib/pages.mjs';
import { gif, mp4, noise, pdf, png } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';

const CHUNK = 204_800;
const TIMEOUT = { timeout: 40_000 };

let server, pages, browser;

before(async () => {
  server = await startServer({ HAVERSACK_MAX_FILE_SIZE: '3MiB' });
  pages = await servePage('message.jsx');
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await pages?.close();
  await server?.stop();
});

/** Opens a page with the uploader, closed when test `t` ends. `choose` picks files as a user does, with the button. */
async function openUploader(t, options = {}) {
  const client = await openPage(browser, pages.url, { portal: server.url, token: server.token(), ...options });
  t.after(client.close);
  client.choose = async (...files) => {
    const [chooser] = await Promise.all([client.page.waitForEvent('filechooser'), client.page.click('button')]);
    await chooser.setFiles(files);
  };
  client.posts = () => client.requests('POST', '/pm/upload/').length;
  client.doneReplies = () =>
    Promise.all(client.requests('POST', '?done').map(async (done) => (await done.response()).json()));
  return client;
}

/** Repeats the done that the page sent, from the same user. */
async function repeatDone(uuid, filename) {
  const body = new FormData();
  body.set('uuid', uuid);
  body.set('filename', filename);
  const response = await fetch(`${server.uploads}?done`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${server.token()}` },
    body,
  });
  assert.equal(response.status, 200);
  return response.json();
}

async function fileOf(uuid) {
  const response = await fetch(`${server.uploads}${uuid}/file/`, { headers: { Authorization: `Bearer ${server.token()}` } });
  assert.equal(response.status, 200);
  return response.json();
}

const chunksOf = (bytes) => Math.ceil(bytes.length / CHUNK);

// A file that the page sends as it is: chunks, done, then a thumbnail that the page draws from the link in done's answer.
const untouched = [
  ['a video of one chunk', 'clip.mp4', 'video/mp4', mp4()],
  ['a video of several chunks', 'clip.mp4', 'video/mp4', mp4(CHUNK * 2)],
  ['a PDF of one chunk', 'page.pdf', 'application/pdf', pdf()],
  ['a PDF of several chunks', 'page.pdf', 'application/pdf', pdf(CHUNK * 3)],
  ['a GIF of one chunk', 'dot.gif', 'image/gif', gif()],
  ['a GIF of several chunks', 'dot.gif', 'image/gif', gif(CHUNK + 1)],
  ['a file of exactly two chunks', 'even.zip', 'application/zip', noise(CHUNK * 2, 30)],
  ['a sound of several chunks', 'sound.mp3', 'audio/mpeg', noise(CHUNK * 2 + 1, 31)],
];

for (const [what, name, type, bytes] of untouched) {
  test(`${what} becomes a File and a thumbnail`, TIMEOUT, async (t) => {
    const client = await openUploader(t);
    await client.choose(asFile(name, type, bytes));
    const [{ reply }] = await client.reported('files');
    const [file] = await client.doneReplies();
    await expectFile(file, bytes, { filename: name });
    assert.equal(reply.parent_file_uuid, file.uuid);
    assert.match((await download(reply.file_url)).type, /^image\//);
    assert.equal(client.posts(), chunksOf(bytes) + 2, 'every chunk once, done once, one thumbnail');

    await expectSameFile(await repeatDone(file.uuid, name), file, bytes);
  });
}

for (const [size, side] of [['one chunk', 2], ['several chunks', 300]]) {
  test(`a picture re-encoded by the page, of ${size}, is found again by its thumbnail's uuid`, TIMEOUT, async (t) => {
    const client = await openUploader(t);
    await client.choose(asFile('photo.png', 'image/png', png(side)));
    const [{ reply, type, base64 }] = await client.reported('files');
    const sent = Buffer.from(base64, 'base64');
    assert.equal(type, 'image/jpeg', 'the page re-encodes');
    assert.equal(sent.length > CHUNK, size === 'several chunks');

    const [file] = await client.doneReplies();
    await expectFile(file, sent, { filename: 'photo.png', mimetype: 'image/jpeg' });
    await expectThumbnail(reply, file.uuid, sent);

    const parent = await fileOf(reply.file_uuid);
    assert.equal(parent.uuid, file.uuid, 'the message is sent with the uuid of the thumbnail');
    await expectBytes(parent.url, sent);
    assert.match((await download(parent.thumbnail)).type, /^image\//);
  });
}

test('several files chosen at once all arrive', TIMEOUT, async (t) => {
  const chosen = new Map([
    ['one.zip', noise(CHUNK + 10, 32)],
    ['two.zip', noise(CHUNK + 10, 33)],
    ['three.zip', noise(10, 34)],
  ]);
  // Done and thumbnail of one file overlap with the chunks of the next. The whole component then at times forgets to
  // hand its files on, a race of its own; so its inner uploader is heard directly.
  const client = await openUploader(t, { bare: true });
  await client.choose(...[...chosen].map(([name, bytes]) => asFile(name, 'application/zip', bytes)));
  for (const _ of chosen) await client.reported('files');
  const files = await client.doneReplies();
  assert.deepEqual(files.map((file) => file.filename).sort(), [...chosen.keys()].sort());
  for (const file of files) await expectFile(file, chosen.get(file.filename));
});

test('a token of another user cannot reach what was uploaded', TIMEOUT, async (t) => {
  const client = await openUploader(t);
  await client.choose(asFile('mine.zip', 'application/zip', noise(50, 35)));
  await client.reported('files');
  const [{ uuid }] = await client.doneReplies();
  const response = await fetch(`${server.uploads}${uuid}/file/`, { headers: { Authorization: `Bearer ${server.token(2)}` } });
  assert.equal(response.status, 404);
});

const refusals = [
  { what: 'the size of a file', bytes: noise((3 << 20) + 1, 36), status: 413, field: 'file' },
  { what: 'a token', bytes: noise(1, 37), status: 401, token: 'not.a.token' },
];

for (const { what, bytes, status, field, ...options } of refusals) {
  test(`the reason for refusing ${what} reaches the page`, TIMEOUT, async (t) => {
    const client = await openUploader(t, { bare: true, ...options });
    await client.choose(asFile('refused.zip', 'application/zip', bytes));
    const refused = await client.reported('refused');
    assert.equal(refused.status, status);
    await client.page.getByRole('alert').getByText(expectError(refused.body, { field })).waitFor();
    assert.equal(await client.reported('error'), 'The upload failed.');
    assert.equal(client.posts(), 1, 'nothing was sent after the refusal');
  });
}

test('a refused chunk shows in the whole component', TIMEOUT, async (t) => {
  const client = await openUploader(t);
  await client.choose(asFile('refused.zip', 'application/zip', refusals[0].bytes));
  await client.page.getByText('The upload failed.').waitFor();
});

test('a thumbnail that is no image is refused as a fault of the file', TIMEOUT, async (t) => {
  const client = await openUploader(t);
  await client.choose(asFile('fake.gif', 'image/gif', noise(500, 38)));
  await client.page.getByText('This file was refused.').waitFor();
  const [, , thumbnail] = client.requests('POST', '/pm/upload/');
  const response = await thumbnail.response();
  assert.equal(response.status(), 415);
  expectError(await response.json(), { field: 'file' });
});
