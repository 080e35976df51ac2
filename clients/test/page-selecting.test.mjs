// The server's own page: several files at once, and the way from one to the next.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launchBrowser } from '../lib/browser.mjs';
import { ask, newUser, openHaversack, store } from '../lib/haversack.mjs';
import { mp4, noise, pdf, png } from '../lib/samples.mjs';
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

const FIVE = Object.fromEntries([5, 4, 3, 2, 1].map((n) => [`${n}.bin`, noise(100_000, n)])); // shown as 1 to 5

/** The page of a user who has these files, the last one first. */
async function open(t, files = FIVE, options = {}) {
  const userId = newUser();
  for (const [name, bytes] of Object.entries(files)) await store(server, userId, name, bytes);
  const client = await openHaversack(t, browser, server, { userId, ...options });
  const check = async (name, modifiers = []) => {
    await client.file(name).hover();
    await client.file(name).getByRole('checkbox').click({ modifiers });
  };
  const picked = () =>
    client.page.locator('.tile input:checked').evaluateAll((all) => all.map((box) => box.closest('.tile').dataset.name));
  return { ...client, check, picked };
}

test('several files are selected and deleted together, and put back together', TIMEOUT, async (t) => {
  const client = await open(t, FIVE, { clock: true });
  for (const name of ['2.bin', '4.bin']) await client.check(name);
  await client.page.getByText('2 selected 200 KB').waitFor();
  await client.button('Delete').click();
  await client.page.getByText('2 files deleted').first().waitFor();
  assert.equal(await client.page.locator('.tile:visible').count(), 3);
  await client.button('Undo').click();
  assert.equal(await client.page.locator('.tile:visible').count(), 5);
  for (const name of ['2.bin', '4.bin']) await client.check(name);
  await client.button('Delete').click();
  const gone = new Set();
  client.page.on('requestfinished', (request) => request.method() === 'DELETE' && gone.add(request.url()));
  await client.page.clock.fastForward(9_000);
  while (gone.size < 2) await client.page.waitForTimeout(20);
  const { body } = await ask(server, client.userId, '');
  assert.deepEqual(body.results.map(({ filename }) => filename), ['1.bin', '3.bin', '5.bin']);
});

test('selecting a file moves no other', TIMEOUT, async (t) => {
  const { page, check } = await open(t);
  const place = () => page.locator('.tile').first().boundingBox();
  const before = await place();
  await check('2.bin');
  await page.locator('#selection').waitFor();
  assert.deepEqual(await place(), before);
});

test('several files are downloaded one after the other', TIMEOUT, async (t) => {
  const client = await open(t);
  for (const name of ['1.bin', '5.bin']) await client.check(name);
  const names = [];
  const both = new Promise((resolve) => {
    client.page.on('download', (download) => names.push(download.suggestedFilename()) === 2 && resolve());
  });
  await client.button('Download').click();
  await both;
  assert.deepEqual(names, ['1.bin', '5.bin']);
});

test('a range is selected with the shift key, all with a button, and none with Escape', TIMEOUT, async (t) => {
  const client = await open(t);
  await client.check('2.bin');
  await client.check('4.bin', ['Shift']);
  assert.deepEqual(await client.picked(), ['2.bin', '3.bin', '4.bin']);
  await client.button('Select all').click();
  assert.equal((await client.picked()).length, 5);
  await client.page.keyboard.press('Escape');
  assert.deepEqual(await client.picked(), []);
  await client.page.locator('#selection').waitFor({ state: 'hidden' });
});

test('while any file is selected, a click on another selects it, too, and says so', TIMEOUT, async (t) => {
  const client = await open(t);
  await client.check('2.bin');
  await client.page.getByRole('button', { name: 'Select 3.bin' }).click();
  assert.deepEqual(await client.picked(), ['2.bin', '3.bin']);
  await client.page.getByRole('button', { name: 'Deselect 2.bin' }).click();
  assert.deepEqual(await client.picked(), ['3.bin']);
  await client.page.getByRole('button', { name: 'Deselect 3.bin' }).click();
  await client.page.getByRole('button', { name: 'Details of 3.bin' }).click();
  await client.page.getByRole('dialog', { name: '3.bin' }).waitFor();
});

test('the Delete key deletes the selection', TIMEOUT, async (t) => {
  const client = await open(t);
  await client.check('2.bin');
  await client.check('3.bin');
  await client.page.getByRole('button', { name: 'Deselect 3.bin' }).focus();
  await client.page.keyboard.press('Delete');
  await client.page.getByText('2 files deleted').first().waitFor();
  assert.equal(await client.page.locator('.tile:visible').count(), 3);
});

const THREE = { 'third.pdf': pdf(), 'second.mp4': mp4(), 'first.png': png(32) };

test('from a preview arrows and buttons lead to the next file and back', TIMEOUT, async (t) => {
  const { page, button } = await open(t, THREE);
  await page.getByRole('button', { name: 'Preview first.png' }).click();
  const shown = (name) => page.getByRole('dialog', { name }).waitFor();
  await shown('first.png');
  await page.getByText('1 of 3', { exact: true }).waitFor();
  await page.keyboard.press('ArrowLeft'); // there is none before
  await page.keyboard.press('ArrowRight');
  await shown('second.mp4');
  await button('Next file').click();
  await shown('third.pdf');
  await page.getByText('can’t be shown here').waitFor();
  assert.equal(await page.locator('#preview-stage > *').count(), 0, 'the video is gone');
  await page.keyboard.press('ArrowRight'); // nor one after
  await shown('third.pdf');
  await button('Previous file').click();
  await shown('second.mp4');
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  // The close event, which moves the focus, comes after the dialog is hidden.
  await page.locator('.tile:focus-within[data-name="second.mp4"]').waitFor();
  const focused = await page.evaluate(() => document.activeElement.closest('.tile')?.dataset.name);
  assert.equal(focused, 'second.mp4', 'the focus is on the file that was seen last');
});

test('arrows in a player seek, they do not lead away', TIMEOUT, async (t) => {
  const { page } = await open(t, THREE);
  await page.getByRole('button', { name: 'Preview second.mp4' }).click();
  await page.locator('video').focus();
  await page.keyboard.press('ArrowRight');
  await page.getByRole('dialog', { name: 'second.mp4' }).waitFor();
});

test('a finger that goes sideways over a picture leads on', TIMEOUT, async (t) => {
  const { page } = await open(t, THREE, { hasTouch: true, isMobile: true, viewport: { width: 360, height: 740 } });
  await page.getByRole('button', { name: 'Preview first.png' }).tap();
  const session = await page.context().newCDPSession(page);
  const touch = (type, ...touchPoints) => session.send('Input.dispatchTouchEvent', { type, touchPoints });
  await touch('touchStart', { x: 300, y: 400 });
  await touch('touchMove', { x: 120, y: 405 });
  await touch('touchEnd');
  await page.getByRole('dialog', { name: 'second.mp4' }).waitFor();
});

test('the way on does not end where the page of the list ends', TIMEOUT, async (t) => {
  const files = Array.from({ length: 52 }, (_, at) => [`${at}.bin`, noise(10, at)]);
  const { page, file, button } = await open(t, Object.fromEntries(files.map(([name, bytes]) => [`f${name}`, bytes])));
  await file('f2.bin').getByRole('button').click(); // the fiftieth
  await page.getByText('50 of 50+', { exact: true }).waitFor();
  await button('Next file').click();
  await page.getByRole('dialog', { name: 'f1.bin' }).waitFor();
  await page.getByText('51 of 52', { exact: true }).waitFor();
});

test('a file that is deleted from its preview gives way to the next, and the last one closes it', TIMEOUT, async (t) => {
  const { page, button } = await open(t, { 'last.bin': noise(9), 'first.bin': noise(9) }, { clock: true });
  await page.getByRole('button', { name: 'Details of first.bin' }).click();
  await button('Delete').click();
  await page.getByRole('dialog', { name: 'last.bin' }).waitFor();
  await button('Undo').click(); // it can be reached beside the dialog
  await page.getByText('2 of 2', { exact: true }).waitFor();
  await page.clock.fastForward(1_000); // no double click
  await page.keyboard.press('Delete');
  await page.getByRole('dialog', { name: 'first.bin' }).waitFor();
  await page.clock.fastForward(1_000);
  await button('Delete').click();
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await page.getByText('Nothing here yet').waitFor();
});
