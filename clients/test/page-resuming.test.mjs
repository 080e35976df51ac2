// The server's own page: uploads that outlive the page, the tab and the server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { asFile, launchBrowser } from '../lib/browser.mjs';
import { CHUNK, ask, drop, expectSent, newUser, onDisk, openHaversack } from '../lib/haversack.mjs';
import { noise } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';

const TIMEOUT = { timeout: 60_000 };

let server, browser;

before(async () => {
  server = await startServer();
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const large = noise(CHUNK * 3 + 1234, 50); // four chunks

/** A page in the middle of an upload of `large`: two chunks are recorded, the third is held back. */
async function midway(t, { on = server, before = () => {}, ...options } = {}) {
  const client = await openHaversack(t, browser, on, options);
  await before(client);
  const [path] = await onDisk(t, { 'large.bin': large });
  const release = client.chunks.hold('large.bin', 2);
  await client.choose(path);
  await client.chunks.until(({ index }) => index === 2);
  return { ...client, path, release };
}

test('a reload in the middle goes on by itself with what is missing', TIMEOUT, async (t) => {
  const client = await midway(t);
  client.release();
  client.chunks.seen.length = 0;
  client.release = client.chunks.hold('large.bin', 3);
  await client.page.reload();
  await client.chunks.until(({ index }) => index === 3);
  client.release();
  await client.uploaded('large.bin');
  const sent = client.chunks.of('large.bin');
  assert.ok(!sent.includes(0) && !sent.includes(1), `chunks ${sent} after two were on record`);
  await expectSent(await client.linkOf('large.bin'), large);
});

test('what was paused stays so over a reload, and shows how far it was', TIMEOUT, async (t) => {
  const client = await midway(t);
  await client.button('Pause: large.bin').click();
  client.release();
  await client.inState('large.bin', 'paused');
  await client.page.reload();
  await client.row('large.bin').getByText('Paused at 99% of 3.1 MB').waitFor();
  assert.deepEqual(client.chunks.of('large.bin'), [0, 1, 2]);
  await client.button('Resume: large.bin').click();
  await client.uploaded('large.bin');
  assert.deepEqual(client.chunks.of('large.bin'), [0, 1, 2, 3]);
});

test('a server that is stopped and started under way is waited for', TIMEOUT, async (t) => {
  const own = await startServer();
  t.after(own.stop);
  const client = await midway(t, { on: own });
  await own.halt();
  client.release();
  await client
    .row('large.bin')
    .getByText(/^No connection\. Trying again in/)
    .waitFor();
  await own.resume();
  await client.uploaded('large.bin');
  const sent = client.chunks.of('large.bin');
  assert.ok(sent.filter((index) => index < 2).length === 2, `chunks ${sent}: recorded ones went out once`);
  await expectSent(await client.linkOf('large.bin'), large);
});

test('a file that the browser could not keep is asked for, and recognized when it comes', TIMEOUT, async (t) => {
  const client = await midway(t, {
    before: keepNoFiles,
  });
  client.page.on('dialog', (dialog) => dialog.accept()); // the page warns before it is left
  client.release();
  client.chunks.rule = (chunk, route) => route.abort().then(() => true);
  await client.inState('large.bin', 'retrying');
  await client.page.reload();
  client.chunks.rule = null;
  await client.inState('large.bin', 'needs-file');
  await client
    .row('large.bin')
    .getByText(/Choose or drop the same file to continue/)
    .waitFor();
  await client
    .row('large.bin')
    .locator('input')
    .setInputFiles(asFile('large.bin', '', noise(999, 1)));
  await client.row('large.bin').getByText('This is a different file: it has 999 bytes, not 3.1 MB.').waitFor();
  client.chunks.seen.length = 0;
  await client.choose(client.path);
  await client.uploaded('large.bin');
  assert.ok(!client.chunks.of('large.bin').includes(0));
  await expectSent(await client.linkOf('large.bin'), large);
});

/** Lets this browser keep no files, as in a private window. */
async function keepNoFiles({ context, page }) {
  await context.addInitScript(() => {
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (value, ...key) {
      if (value instanceof File) throw new DOMException('no room', 'QuotaExceededError');
      return put.call(this, value, ...key);
    };
  });
  await page.reload();
  await page.locator('#files').waitFor();
}

test('an upload that lacks nothing but its done is finished without its file', TIMEOUT, async (t) => {
  const client = await openHaversack(t, browser, server);
  await keepNoFiles(client);
  client.page.on('dialog', (dialog) => dialog.accept()); // the page warns before it is left
  let dones = 0;
  await client.page.route('**/upload/?done', (route) => ((dones += 1) > 1 ? route.continue() : route.abort()));
  await client.choose(asFile('whole.bin', '', noise(CHUNK + 5, 52)));
  await client.inState('whole.bin', 'retrying');
  await client.page.reload();
  await client.uploaded('whole.bin');
  assert.deepEqual(client.chunks.of('whole.bin'), [0, 1]);
  await expectSent(await client.linkOf('whole.bin'), noise(CHUNK + 5, 52));
});

test('a file that the server refused is not sent again after a reload, and the row still says why', TIMEOUT, async (t) => {
  const strict = await startServer({ HAVERSACK_MAX_FILE_SIZE: '1MiB', HAVERSACK_USER_QUOTA: '900KiB' });
  t.after(strict.stop);
  const client = await openHaversack(t, browser, strict);
  await client.choose(asFile('large.bin', '', noise(CHUNK + 5)), asFile('much.bin', '', noise(1_000_000)));
  const why = async () => {
    await client.row('large.bin').getByText('The file has 1 MB, but the limit is 1 MB.').waitFor();
    await client.row('much.bin').getByText(/^Only 922\sKB of your 922\sKB are left/).waitFor();
  };
  await why();
  client.chunks.seen.length = 0;
  await client.page.reload();
  await why();
  await client.button('Try again: much.bin').waitFor();
  assert.equal(await client.row('large.bin').getByRole('button').count(), 1, 'only to take it away');
  assert.deepEqual(client.chunks.seen, []);
});

test('two tabs never upload the same file, and the second takes over when the first is closed', TIMEOUT, async (t) => {
  const first = await midway(t);
  const { context, userId } = first;
  const second = await openHaversack(t, browser, server, { context, userId });
  assert.equal(await second.page.locator('#upload-rows li').count(), 0);
  assert.equal(second.chunks.seen.length, 0);
  await first.page.close();
  await second.uploaded('large.bin');
  const sent = second.chunks.of('large.bin');
  assert.ok(sent.includes(3) && !sent.includes(0) && !sent.includes(1), `chunks ${sent} after two were on record`);
  await expectSent(await second.linkOf('large.bin'), large);
});

test('without Web Locks two tabs ask each other', TIMEOUT, async (t) => {
  const client = await midway(t, {
    async before({ context, page }) {
      await context.addInitScript(() => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }));
      await page.reload();
      await page.locator('#files').waitFor();
    },
  });
  const { context, userId } = client;
  const second = await openHaversack(t, browser, server, { context, userId });
  client.release();
  await client.uploaded('large.bin');
  assert.equal(second.chunks.seen.length, 0);
});

test('uploads of another user of this browser are left alone', TIMEOUT, async (t) => {
  const first = await midway(t);
  first.release();
  first.chunks.rule = (chunk, route) => route.abort().then(() => true);
  await first.inState('large.bin', 'retrying');
  await first.page.close();
  const second = await openHaversack(t, browser, server, { context: first.context });
  assert.equal(await second.page.locator('#upload-rows li').count(), 0);
  const again = await openHaversack(t, browser, server, { context: first.context, userId: first.userId });
  await again.uploaded('large.bin');
});

test('a long id is not taken for its neighbour, and as text it is the same user', TIMEOUT, async (t) => {
  const [userId, neighbour] = ['9007199254740993', '9007199254740992']; // the same number to JavaScript
  const first = await midway(t, { userId });
  const { context } = first;
  first.release();
  first.chunks.rule = (chunk, route) => route.abort().then(() => true);
  await first.inState('large.bin', 'retrying');
  await first.page.close();
  const second = await openHaversack(t, browser, server, { context, userId: neighbour });
  assert.equal(await second.page.locator('#who').textContent(), `User ${neighbour}`);
  assert.equal(await second.page.locator('#upload-rows li').count(), 0);
  const at = `${server.url}/#token=${server.token(userId)}`; // with the id as text
  const again = await openHaversack(t, browser, server, { context, userId, at });
  await again.uploaded('large.bin');
});

/** Posts fields in the name of a user, as another program would. */
async function post(userId, path, fields) {
  const body = new FormData();
  for (const [key, value] of Object.entries(fields)) body.append(key, value);
  const { status, body: reply } = await ask(server, userId, path, { method: 'POST', body });
  assert.equal(status, 200, reply.error);
  return reply;
}

/** One of three chunks of `noise(size, 51)`, sent by another program; returns the uuid. */
async function send(userId, index, size, fields) {
  const file = new Blob([noise(size, 51).subarray(index * 200_000, (index + 1) * 200_000)]);
  return (await post(userId, '', { partindex: index, totalparts: 3, totalfilesize: size, ...fields, file })).file_uuid;
}

const begin = (userId, name, size) => send(userId, 0, size, name && { filename: name });

test('an upload that another program began is continued with its file, in its chunks', TIMEOUT, async (t) => {
  const userId = newUser();
  await begin(userId, 'elsewhere.bin', 500_000);
  const client = await openHaversack(t, browser, server, { userId });
  await client
    .row('elsewhere.bin')
    .getByText('Unfinished at 40% of 500 KB. Choose or drop the same file to continue.')
    .waitFor();
  await drop(client.page, asFile('elsewhere.bin', '', noise(500_000, 51)));
  await client.uploaded('elsewhere.bin');
  assert.deepEqual(client.chunks.of('elsewhere.bin'), [1, 2]);
  await expectSent(await client.linkOf('elsewhere.bin'), noise(500_000, 51));
});

test('an upload that has no name yet gets that of the file that is chosen for it', TIMEOUT, async (t) => {
  const userId = newUser();
  await begin(userId, null, 500_000);
  const client = await openHaversack(t, browser, server, { userId });
  const [chooser] = await Promise.all([
    client.page.waitForEvent('filechooser'),
    client.button('Choose the file: Unnamed upload').click(),
  ]);
  await chooser.setFiles(asFile('named.bin', '', noise(500_000, 51)));
  await client.file('named.bin').waitFor();
  await expectSent(await client.linkOf('named.bin'), noise(500_000, 51));
});

test('an upload that another program finished in the meantime is not sent again', TIMEOUT, async (t) => {
  const userId = newUser();
  const uuid = await begin(userId, 'faster.bin', 500_000);
  const client = await openHaversack(t, browser, server, { userId });
  for (const index of [1, 2]) await send(userId, index, 500_000, { uuid });
  await post(userId, '?done', { uuid, filename: 'faster.bin' });
  await client.choose(asFile('faster.bin', '', noise(500_000, 51)));
  await client.uploaded('faster.bin');
  assert.deepEqual(client.chunks.seen, []);
});

test('one that another program sent whole can be finished here, without its file', TIMEOUT, async (t) => {
  const userId = newUser();
  const uuid = await begin(userId, 'faster.bin', 500_000);
  for (const index of [1, 2]) await send(userId, index, 500_000, { uuid });
  const client = await openHaversack(t, browser, server, { userId });
  await client.row('faster.bin').getByText(/^Everything has arrived/).waitFor();
  await client.button('Finish: faster.bin').click();
  await client.uploaded('faster.bin');
  await expectSent(await client.linkOf('faster.bin'), noise(500_000, 51));
});

test('an upload that another program began can be cancelled', TIMEOUT, async (t) => {
  const userId = newUser();
  const uuid = await begin(userId, 'elsewhere.bin', 500_000);
  const client = await openHaversack(t, browser, server, { userId });
  await client.button('Cancel elsewhere.bin').click();
  await client.row('elsewhere.bin').waitFor({ state: 'detached' });
  await Promise.all([
    client.page.waitForResponse((response) => response.request().method() === 'DELETE'),
    client.button('Dismiss').press('Enter'), // now, not in some seconds
  ]);
  assert.equal((await ask(server, userId, `${uuid}/`)).status, 410);
});
