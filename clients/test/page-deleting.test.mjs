// The server's own page: deleting, and taking that back. Time is the test's: nothing waits for real.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { asFile, launchBrowser } from '../lib/browser.mjs';
import { CHUNK, ask, newUser, onDisk, openHaversack, refusal, store } from '../lib/haversack.mjs';
import { noise, png } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';

const TIMEOUT = { timeout: 60_000 };
/** Longer than a deletion can be taken back. */
const LATER_MS = 9_000;

let server, browser;

before(async () => {
  server = await startServer();
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The page of a user who has three files; `later()` lets time pass, `deletes` are those that were asked for. */
async function open(t, names = ['first.bin', 'second.bin', 'third.png']) {
  const userId = newUser();
  const files = {};
  for (const name of names) files[name] = await store(server, userId, name, name.endsWith('png') ? png(8) : noise(50));
  const client = await openHaversack(t, browser, server, { userId, clock: true });
  const deletes = [];
  client.page.on('request', (request) => request.method() === 'DELETE' && deletes.push(request.url()));
  const statusOf = async (name) => (await ask(server, userId, `${files[name].uuid}/`)).status;
  return { ...client, deletes, statusOf, later: () => client.page.clock.fastForward(LATER_MS) };
}

/** Deletes a file as people do. */
async function discard(client, name) {
  await client.file(name).hover();
  await client.file(name).getByRole('checkbox').click();
  await client.button('Delete').click();
  await client.file(name).waitFor({ state: 'hidden' });
}

/** Resolves when the server answers a status for the file. */
async function becomes(client, name, status) {
  while ((await client.statusOf(name)) !== status) await client.page.waitForTimeout(20);
}

test('a deleted file can be put back for some seconds, in which nothing is asked of the server', TIMEOUT, async (t) => {
  const client = await open(t);
  await discard(client, 'second.bin');
  await client.page.getByText('“second.bin” deleted').first().waitFor();
  await client.page.clock.fastForward(6_000);
  assert.deepEqual(client.deletes, []);
  await client.button('Undo').click();
  await client.file('second.bin').waitFor();
  const names = await client.page.locator('.tile').evaluateAll((tiles) => tiles.map(({ dataset }) => dataset.name));
  assert.deepEqual(names, ['third.png', 'second.bin', 'first.bin'], 'it is where it was');
  await client.later();
  assert.deepEqual(client.deletes, []);
  assert.equal(await client.statusOf('second.bin'), 200);
});

test('after these seconds the file is deleted for good', TIMEOUT, async (t) => {
  const client = await open(t);
  const link = await client.linkOf('second.bin');
  await discard(client, 'second.bin');
  await client.later();
  await becomes(client, 'second.bin', 410);
  assert.equal((await fetch(link)).status, 410);
  assert.equal(await client.button('Undo').count(), 0);
});

test('a double click where one deletes deletes one file, and that can be taken back', TIMEOUT, async (t) => {
  const client = await open(t);
  await client.page.getByRole('button', { name: 'Preview third.png' }).click();
  await client.button('Delete').dblclick();
  await client.page.getByRole('dialog', { name: 'second.bin' }).waitFor();
  assert.equal(await client.page.locator('.tile:not([hidden])').count(), 2);
  await client.button('Undo').click();
  assert.equal(await client.page.locator('.tile:not([hidden])').count(), 3);
  await client.later();
  assert.deepEqual(client.deletes, []);
});

test('a reload in these seconds carries the deletion out, and does not show the file again', TIMEOUT, async (t) => {
  const client = await open(t);
  await discard(client, 'second.bin');
  await client.page.reload();
  await client.file('first.bin').waitFor();
  assert.equal(await client.file('second.bin').count(), 0);
  assert.equal(await client.statusOf('second.bin'), 410);
});

test('a deletion that got lost in a reload is asked for again', TIMEOUT, async (t) => {
  const client = await open(t);
  await discard(client, 'second.bin');
  await client.page.evaluate(() => (globalThis.fetch = () => new Promise(() => {})));
  await client.page.reload();
  await client.file('first.bin').waitFor();
  assert.equal(await client.file('second.bin').count(), 0);
  assert.equal(await client.statusOf('second.bin'), 410);
  assert.equal((await client.page.evaluate(() => Object.keys(sessionStorage))).length, 1, 'nothing is left to do');
});

test('closing the tab in these seconds carries the deletion out', TIMEOUT, async (t) => {
  const client = await open(t);
  await discard(client, 'second.bin');
  const other = await client.context.newPage(); // the browser stays
  await client.page.close({ runBeforeUnload: true });
  await becomes({ ...client, page: other }, 'second.bin', 410);
});

test('what is deleted one after the other is put back one after the other', TIMEOUT, async (t) => {
  const client = await open(t);
  await discard(client, 'first.bin');
  await client.page.clock.fastForward(1_000); // no double click
  await discard(client, 'second.bin');
  await client.page.keyboard.press('Control+z');
  await client.file('second.bin').waitFor();
  assert.equal(await client.file('first.bin').isVisible(), false);
  await client.page.keyboard.press('Control+z');
  await client.file('first.bin').waitFor();
  await client.later();
  assert.deepEqual(client.deletes, []);
});

test('while somebody is about to decide, no time runs', TIMEOUT, async (t) => {
  const client = await open(t);
  await discard(client, 'second.bin');
  await client.page.locator('#notice').hover();
  await client.later();
  await client.button('Undo').click();
  await client.file('second.bin').waitFor();
  assert.deepEqual(client.deletes, []);
});

test('in the colours of the system, too, what can be taken back stands out from the page', TIMEOUT, async (t) => {
  const client = await open(t);
  await client.page.emulateMedia({ forcedColors: 'active' });
  await discard(client, 'second.bin');
  const edge = await client.page.locator('#notice').evaluate((notice) => getComputedStyle(notice).borderTopWidth);
  assert.equal(edge, '1px', 'backgrounds are all the same there');
});

test('a double click that deletes does not make that final', TIMEOUT, async (t) => {
  const client = await open(t);
  await client.file('second.bin').getByRole('button').click();
  await client.button('Delete').click();
  await client.button('Dismiss').click(); // it may lie where the second click goes
  await client.button('Undo').waitFor();
  assert.deepEqual(client.deletes, []);
  await client.page.clock.fastForward(1_000); // no double click
  await client.button('Dismiss').click();
  await becomes(client, 'second.bin', 410);
});

test('a file that a message uses comes back, and the page says why', TIMEOUT, async (t) => {
  const client = await open(t);
  const json = refusal('attached', 'a message uses this file', { preventRetry: true });
  await client.page.route('**/pm/upload/*/', (route) => route.fulfill({ status: 409, json }));
  await discard(client, 'second.bin');
  await client.later();
  await client.page.locator('#notice-text').getByText('“second.bin” was not deleted. A message uses this file.').waitFor();
  assert.equal(await client.file('second.bin').isVisible(), true);
  await client.button('Dismiss').click();
  await client.page.locator('#notice').waitFor({ state: 'hidden' });
});

test('without a connection a deleted file comes back', TIMEOUT, async (t) => {
  const client = await open(t);
  await discard(client, 'second.bin');
  await client.context.setOffline(true);
  await client.later();
  await client.page.locator('#notice-text').getByText('was not deleted. No connection to the server.').waitFor();
  assert.equal(await client.file('second.bin').isVisible(), true);
});

test('the focus goes to a neighbour when a file is deleted, and to the file when it is put back', TIMEOUT, async (t) => {
  const client = await open(t);
  const focused = () => client.page.evaluate(() => document.activeElement.closest('.tile')?.dataset.name);
  await client.page.getByRole('button', { name: 'second.bin' }).focus();
  await client.page.keyboard.press('Delete');
  await client.file('second.bin').waitFor({ state: 'hidden' });
  assert.equal(await focused(), 'first.bin');
  await client.page.keyboard.press('Control+z');
  assert.equal(await focused(), 'second.bin');
});

/** An upload of which one chunk is recorded and the next held back. */
async function midway(t) {
  const client = await openHaversack(t, browser, server, { clock: true });
  const release = client.chunks.hold('large.bin', 1);
  await client.choose(...(await onDisk(t, { 'large.bin': noise(CHUNK * 3, 4) })));
  await client.chunks.until(({ index }) => index === 1);
  const { uuid } = client.chunks.seen[0];
  const status = async () => (await ask(server, client.userId, `${uuid}/`)).status;
  return { ...client, release, status };
}

test('an upload that was cancelled by mistake goes on where it was', TIMEOUT, async (t) => {
  const client = await midway(t);
  await client.button('Cancel large.bin').click();
  await client.row('large.bin').waitFor({ state: 'detached' });
  client.release();
  assert.equal(await client.status(), 200);
  await client.button('Undo').click();
  await client.uploaded('large.bin');
  assert.deepEqual(client.chunks.of('large.bin'), [0, 1, 1, 2]);
});

test('a double click on cancel cancels one upload', TIMEOUT, async (t) => {
  const client = await openHaversack(t, browser, server);
  client.chunks.rule = () => new Promise(() => {});
  await client.choose(...['1.bin', '2.bin', '3.bin'].map((name) => asFile(name, '', noise(9))));
  await client.inState('3.bin', 'sending');
  await client.button('Cancel 1.bin').dblclick();
  await client.row('1.bin').waitFor({ state: 'detached' });
  assert.equal(await client.page.locator('#upload-rows li').count(), 2);
});

test('a reload after a cancel does not bring the upload back', TIMEOUT, async (t) => {
  const client = await midway(t);
  await client.button('Cancel large.bin').click();
  await client.row('large.bin').waitFor({ state: 'detached' });
  await client.page.reload();
  client.release();
  await client.page.locator('#empty').waitFor();
  while ((await client.status()) !== 410) await client.page.waitForTimeout(20);
  assert.equal(await client.page.locator('#upload-rows li').count(), 0);
});
