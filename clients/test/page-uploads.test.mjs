// The server's own page: how files come in, and what happens to them on the way.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { asFile, launchBrowser } from '../lib/browser.mjs';
import { CHUNK, ask, drop, expectSent, onDisk, openHaversack, refusal } from '../lib/haversack.mjs';
import { noise, png } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';

const TIMEOUT = { timeout: 60_000 };
const V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let server, browser;

before(async () => {
  server = await startServer({ HAVERSACK_MAX_FILE_SIZE: '30MiB' });
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const open = (t, options) => openHaversack(t, browser, server, options);
const large = noise(CHUNK * 3 + 1234, 40); // four chunks
const small = noise(70_000, 41);

test('files that are dropped, several at once, come back byte for byte', TIMEOUT, async (t) => {
  const client = await open(t);
  const files = {
    'one.bin': noise(100_000, 1),
    'two è 🎒.bin': noise(CHUNK + 1, 2),
    'three.png': png(40),
    'empty.txt': Buffer.alloc(0),
  };
  await drop(client.page, ...Object.entries(files).map(([name, bytes]) => asFile(name, '', bytes)));
  for (const [name, bytes] of Object.entries(files)) {
    await client.uploaded(name);
    await expectSent(await client.linkOf(name), bytes);
  }
  assert.equal(await client.page.locator('#uploads-title').textContent(), '4 files uploaded');
});

test('the whole window shows that it takes what is dragged over it', TIMEOUT, async (t) => {
  const { page } = await open(t);
  const curtain = page.locator('#curtain');
  const dataTransfer = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(['x'], 'x.txt'));
    return transfer;
  });
  assert.equal(await curtain.isVisible(), false);
  await page.dispatchEvent('#files', 'dragenter', { dataTransfer });
  await curtain.waitFor();
  await page.dispatchEvent('#files', 'dragleave', { dataTransfer });
  await curtain.waitFor({ state: 'hidden' });
});

test('the button opens the browser’s own dialog for several files', TIMEOUT, async (t) => {
  const client = await open(t);
  const [chooser] = await Promise.all([client.page.waitForEvent('filechooser'), client.button('Choose files').click()]);
  assert.equal(chooser.isMultiple(), true);
  await chooser.setFiles([asFile('chosen.bin', '', small), asFile('too.bin', '', small)]);
  await client.uploaded('chosen.bin');
  await client.uploaded('too.bin');
});

test('a picture in the clipboard is pasted under a name of its own', TIMEOUT, async (t) => {
  const client = await open(t, { permissions: ['clipboard-read', 'clipboard-write'] });
  await client.page.evaluate(
    async (bytes) => {
      const picture = new Blob([Uint8Array.from(bytes)], { type: 'image/png' });
      await navigator.clipboard.write([new ClipboardItem({ 'image/png': picture })]);
    },
    [...png(8)],
  );
  await client.page.keyboard.press('Control+V');
  const pasted = client.page.locator('#file-rows li');
  await pasted.waitFor();
  assert.match(await pasted.getAttribute('data-name'), /^Pasted \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.png$/);
});

test('bars tell how far a file and all together are', TIMEOUT, async (t) => {
  const client = await open(t);
  const release = client.chunks.hold('large.bin', 2);
  await client.choose(...(await onDisk(t, { 'large.bin': large })));
  await client.chunks.until(({ index }) => index === 2);
  await client.page.waitForFunction(() => document.querySelector('#total').value > 0.6);
  const value = (selector) => client.page.locator(selector).evaluate((bar) => bar.value);
  assert.ok((await value('#upload-rows progress')) < 1);
  assert.ok((await value('#total')) < 1);
  release();
  await client.uploaded('large.bin');
  await expectSent(await client.linkOf('large.bin'), large);
});

test('bars are seen in the colours of the system, too', TIMEOUT, async (t) => {
  const { page } = await open(t, { forcedColors: 'active' });
  await page.evaluate(() => document.querySelector('main').prepend(document.createElement('progress')));
  const bar = page.locator('main > progress');
  const shot = async (value) => {
    await bar.evaluate((progress, value) => (progress.value = value), value);
    return bar.screenshot({ animations: 'disabled' });
  };
  assert.notDeepEqual(await shot(0), await shot(1));
});

test('a pause throws nothing away: the chunk under way arrives, and none goes out again afterwards', TIMEOUT, async (t) => {
  const client = await open(t);
  const release = client.chunks.hold('large.bin', 1);
  await client.choose(...(await onDisk(t, { 'large.bin': large })));
  await client.chunks.until(({ index }) => index === 1);
  await client.button('Pause: large.bin').click();
  await client.row('large.bin').getByText('pausing…').waitFor();
  release();
  await client.inState('large.bin', 'paused');
  await client.row('large.bin').getByText('Paused at 66% of 3.1 MB').waitFor();
  assert.deepEqual(client.chunks.of('large.bin'), [0, 1]);
  await client.button('Resume: large.bin').click();
  await client.uploaded('large.bin');
  assert.deepEqual(client.chunks.of('large.bin'), [0, 1, 2, 3]);
  await expectSent(await client.linkOf('large.bin'), large);
});

test('a pause that is taken back at once changes nothing', TIMEOUT, async (t) => {
  const client = await open(t);
  const release = client.chunks.hold('large.bin', 1);
  await client.choose(...(await onDisk(t, { 'large.bin': large })));
  await client.chunks.until(({ index }) => index === 1);
  await client.button('Pause: large.bin').click();
  await client.button('Resume: large.bin').click();
  release();
  await client.uploaded('large.bin');
  assert.deepEqual(client.chunks.of('large.bin'), [0, 1, 2, 3]);
});

test('what can not arrive is paused at once', TIMEOUT, async (t) => {
  const client = await open(t);
  const release = client.chunks.hold('large.bin', 1);
  await client.choose(...(await onDisk(t, { 'large.bin': large })));
  await client.chunks.until(({ index }) => index === 1);
  await client.button('Pause: large.bin').click();
  await client.context.setOffline(true);
  release();
  await client.inState('large.bin', 'paused');
});

test('a photo of three megabytes is several chunks, and a film larger ones', TIMEOUT, async (t) => {
  const client = await open(t);
  client.chunks.rule = () => new Promise(() => {});
  await client.choose(asFile('photo.jpg', '', noise(3_000_000)));
  const [film] = await onDisk(t, { 'film.mov': Buffer.alloc(200 << 20) });
  await client.choose(film);
  await client.chunks.until(({ name }) => name === 'film.mov');
  const total = (name) => client.chunks.seen.find((chunk) => chunk.name === name).total;
  assert.equal(total('photo.jpg'), 3);
  assert.equal(total('film.mov'), 64);
});

test('all are paused and go on together', TIMEOUT, async (t) => {
  const client = await open(t);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  client.chunks.rule = () => held;
  const names = [1, 2, 3, 4, 5].map((n) => `${n}.bin`);
  await client.choose(...names.map((name) => asFile(name, '', small)));
  await client.inState('3.bin', 'sending');
  await client.button('Pause all').click();
  release();
  for (const name of names) await client.inState(name, 'paused');
  await client.page.getByText('5 uploads paused').waitFor();
  await client.button('Resume all').click();
  for (const name of names) await client.uploaded(name);
});

test('while all are about to pause that is said, and can be taken back', TIMEOUT, async (t) => {
  const client = await open(t);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  client.chunks.rule = () => held;
  const names = [1, 2, 3, 4].map((n) => `${n}.bin`);
  await client.choose(...names.map((name) => asFile(name, '', small)));
  await client.inState('3.bin', 'sending');
  await client.button('Pause all').click();
  await client.page.getByText('Pausing 4 uploads').waitFor();
  await client.button('Resume all').click();
  await client.page.getByText('Uploading 4 files').waitFor();
  await client.button('Pause all').waitFor();
  release();
  for (const name of names) await client.uploaded(name);
});

test('all are cancelled together, and that can be taken back', TIMEOUT, async (t) => {
  const client = await open(t);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  client.chunks.rule = () => held;
  const names = [1, 2, 3, 4].map((n) => `${n}.bin`);
  await client.choose(...names.map((name) => asFile(name, '', small)));
  await client.inState('3.bin', 'sending');
  await client.button('Cancel all').click();
  await client.page.locator('#uploads').waitFor({ state: 'hidden' });
  release();
  await client.page.getByText('4 uploads cancelled').first().waitFor();
  await client.button('Undo').click();
  for (const name of names) await client.uploaded(name);
});

test('of many that wait only the first are shown, until the others are asked for', TIMEOUT, async (t) => {
  const client = await open(t);
  client.chunks.rule = () => new Promise(() => {});
  await client.choose(...Array.from({ length: 50 }, (_, n) => asFile(`${n}.bin`, '', noise(9))));
  await client.inState('2.bin', 'sending');
  await client.button('Show 45 more waiting').waitFor();
  const shown = () => client.page.locator('#upload-rows li:visible').count();
  assert.equal(await shown(), 5);
  await client.button('Show 45 more waiting').click();
  assert.equal(await shown(), 50);
  const { height } = await client.page.locator('#uploads').boundingBox();
  assert.ok(height < 720, `${height} px: the list scrolls, it does not push all else away`);
  await client.button('Show fewer').click();
  assert.equal(await shown(), 5);
});

test('the sum of what was uploaded can be dismissed', TIMEOUT, async (t) => {
  const client = await open(t);
  await client.choose(asFile('1.bin', '', small), asFile('2.bin', '', small));
  await client.uploaded('1.bin');
  await client.uploaded('2.bin');
  await client.page.getByText('2 files uploaded', { exact: true }).waitFor();
  await client.button('Dismiss').click();
  await client.page.locator('#uploads').waitFor({ state: 'hidden' });
});

test('while the server is away no speed is shown, but that it is away', TIMEOUT, async (t) => {
  const client = await open(t);
  const release = client.chunks.hold('large.bin', 2);
  await client.choose(...(await onDisk(t, { 'large.bin': large })));
  await client.chunks.until(({ index }) => index === 2);
  await client.context.setOffline(true);
  release();
  await client.inState('large.bin', 'retrying');
  await client.page.getByText(/^No connection · trying again in \d+\ss$/).waitFor();
  assert.doesNotMatch(await client.page.locator('#uploads').innerText(), /\/s|left/);
});

test('a proxy that can not reach the server is no answer: the upload waits for as long as it takes', TIMEOUT, async (t) => {
  const client = await open(t, { clock: true });
  client.chunks.rule = (chunk, route) => {
    return route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>502 Bad Gateway</h1>' }).then(() => true);
  };
  await client.choose(asFile('patient.bin', '', small));
  for (let tries = 1; tries <= 12; tries++) {
    await client.chunks.until(() => client.chunks.of('patient.bin').length === tries);
    await client.inState('patient.bin', 'retrying');
    await client
      .row('patient.bin')
      .getByText(/^No connection\. Trying again in \d+\ss\.$/)
      .waitFor();
    if (tries === 12) client.chunks.rule = null;
    await client.page.clock.fastForward(40_000);
  }
  await client.uploaded('patient.bin');
});

test('no more than three files go out at once, the others wait', TIMEOUT, async (t) => {
  const client = await open(t);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  client.chunks.rule = () => held;
  await client.choose(...[1, 2, 3, 4, 5].map((n) => asFile(`${n}.bin`, '', small)));
  await client.inState('3.bin', 'sending');
  assert.equal(await client.page.locator('li[data-state=sending]').count(), 3);
  assert.equal(await client.page.locator('li[data-state=waiting]').count(), 2);
  release();
  for (const n of [1, 2, 3, 4, 5]) await client.uploaded(`${n}.bin`);
});

test('cancelling removes what the server has', TIMEOUT, async (t) => {
  const client = await open(t, { clock: true });
  const release = client.chunks.hold('large.bin', 2);
  await client.choose(...(await onDisk(t, { 'large.bin': large })));
  await client.chunks.until(({ index }) => index === 2);
  const { uuid } = client.chunks.seen[0];
  assert.equal((await ask(server, client.userId, `${uuid}/`)).body.received, CHUNK * 2);
  await client.button('Cancel large.bin').click();
  await client.row('large.bin').waitFor({ state: 'detached' });
  const [deleted] = await Promise.all([
    client.page.waitForResponse((response) => response.request().method() === 'DELETE'),
    client.page.clock.fastForward(9_000), // now it is too late to take it back
  ]);
  assert.equal(deleted.status(), 200);
  assert.equal((await ask(server, client.userId, `${uuid}/`)).status, 410);
  release();
  await client.page.reload();
  await client.page.locator('#empty').waitFor();
  assert.equal(await client.page.locator('#upload-rows li').count(), 0, 'it is forgotten');
});

test('errors of the server are tried again by themselves, after the time it asks for', TIMEOUT, async (t) => {
  const client = await open(t);
  const answers = [
    [500, {}, refusal('internal', 'something broke')],
    [429, { 'Retry-After': '1' }, refusal('too_many_unfinished_uploads', 'there are too many')],
  ];
  client.chunks.rule = (chunk, route) => {
    const [status, headers, json] = answers.shift() ?? [];
    if (status) return route.fulfill({ status, headers, json }).then(() => true);
  };
  await client.choose(asFile('tried.bin', '', small));
  await client
    .row('tried.bin')
    .getByText(/^Something broke\. Trying again in \d\ss\.$/)
    .waitFor();
  await client
    .row('tried.bin')
    .getByText(/^There are too many\. Trying again in \d\ss\.$/)
    .waitFor();
  await client.uploaded('tried.bin');
  assert.deepEqual(client.chunks.of('tried.bin'), [0, 0, 0]);
});

test('a refused chunk is tried at once when the user says so', TIMEOUT, async (t) => {
  const client = await open(t);
  let refused = false;
  client.chunks.rule = (chunk, route) => {
    if (refused) return false;
    refused = true;
    const json = refusal('internal', 'come back tomorrow');
    return route.fulfill({ status: 503, headers: { 'Retry-After': '86400' }, json }).then(() => true);
  };
  await client.choose(asFile('patient.bin', '', small));
  await client.row('patient.bin').getByText('24 h 0 min').waitFor();
  await client.button('Try now: patient.bin').click();
  await client.uploaded('patient.bin');
});

test('an upload goes on by itself when the network is back', TIMEOUT, async (t) => {
  const client = await open(t);
  const release = client.chunks.hold('large.bin', 1);
  await client.choose(...(await onDisk(t, { 'large.bin': large })));
  await client.chunks.until(({ index }) => index === 1);
  await client.context.setOffline(true);
  release();
  await client
    .row('large.bin')
    .getByText(/^No connection\./)
    .waitFor();
  await client.context.setOffline(false);
  await client.uploaded('large.bin');
  assert.ok(client.chunks.of('large.bin').filter((index) => index === 0).length === 1, 'what had arrived was not repeated');
  await expectSent(await client.linkOf('large.bin'), large);
});

test('when one upload reaches the server again, the others no longer wait', TIMEOUT, async (t) => {
  const client = await open(t, { clock: true });
  client.chunks.rule = (chunk, route) => route.abort().then(() => true);
  await client.choose(asFile('1.bin', '', small), asFile('2.bin', '', small));
  // Until the next attempts are further away than any patience of a test.
  const tried = (name) => client.chunks.of(name).length;
  while (tried('1.bin') < 6 || tried('2.bin') < 6) await client.page.clock.fastForward(40_000);
  for (const name of ['1.bin', '2.bin']) await client.inState(name, 'retrying');
  client.chunks.rule = null;
  await client.button('Try now: 1.bin').click();
  for (const name of ['1.bin', '2.bin']) await client.uploaded(name);
});

test('why a file is too large stands beside it, and there is nothing to try again', TIMEOUT, async (t) => {
  const client = await open(t);
  await client.choose(...(await onDisk(t, { 'huge.bin': Buffer.alloc(31 << 20), 'fine.bin': small })));
  await client
    .row('huge.bin')
    .getByText('The file has 32.5 MB, but the limit is 31.5 MB.') // as sizes are written everywhere
    .waitFor();
  assert.equal(await client.row('huge.bin').getByRole('button').count(), 1, 'only to take it away');
  await client.uploaded('fine.bin');
  await client.button('Remove huge.bin from the list').click();
  await client.row('huge.bin').waitFor({ state: 'detached' });
  assert.equal(await client.button('Undo').count(), 0, 'there was nothing to lose');
});

test('files that can not be uploaded are taken off the list together, which cancels nothing', TIMEOUT, async (t) => {
  const client = await open(t);
  const huge = Buffer.alloc(31 << 20);
  await client.choose(...(await onDisk(t, { 'huge.bin': huge, 'huger.bin': huge })));
  await client.page.getByText('2 files could not be uploaded').waitFor();
  await client.button('Dismiss all').click();
  await client.page.locator('#uploads').waitFor({ state: 'hidden' });
  assert.equal(await client.button('Undo').count(), 0, 'there was nothing to lose');
});

test('a conflict is told, and the upload can start again under another uuid', TIMEOUT, async (t) => {
  const client = await open(t);
  client.chunks.rule = (chunk, route) => {
    client.chunks.rule = null;
    const json = refusal('chunk_conflict', 'chunk 0 is there already, with other bytes', { preventRetry: true });
    return route.fulfill({ status: 409, json }).then(() => true);
  };
  await client.choose(asFile('conflict.bin', '', small));
  await client.row('conflict.bin').getByText('Chunk 0 is there already, with other bytes.').waitFor();
  await client.button('Start again: conflict.bin').click();
  await client.uploaded('conflict.bin');
  const [first, second] = client.chunks.seen.map(({ uuid }) => uuid);
  assert.match(first, V4);
  assert.notEqual(second, first);
});

test('an upload that expired begins anew by itself', TIMEOUT, async (t) => {
  const client = await open(t);
  client.chunks.rule = (chunk, route) => {
    if (chunk.index !== 2) return false;
    client.chunks.rule = null;
    return route.fulfill({ status: 410, json: refusal('expired', 'it has expired', { reset: true }) }).then(() => true);
  };
  await client.choose(...(await onDisk(t, { 'large.bin': large })));
  await client.uploaded('large.bin');
  assert.deepEqual(client.chunks.of('large.bin'), [0, 1, 2, 0, 1, 2, 3]);
  await expectSent(await client.linkOf('large.bin'), large);
});

test('a server that takes only small chunks gets small ones', TIMEOUT, async (t) => {
  const strict = await startServer({ HAVERSACK_MAX_CHUNK_SIZE: '400KiB' });
  t.after(strict.stop);
  const client = await openHaversack(t, browser, strict);
  await client.choose(asFile('cut.bin', '', noise(1_000_000, 5)), asFile('after.bin', '', noise(900_000, 6)));
  await client.uploaded('cut.bin');
  await client.uploaded('after.bin');
  await expectSent(await client.linkOf('cut.bin'), noise(1_000_000, 5));
});

test('a file that is changed under way is not mixed with its new content', TIMEOUT, async (t) => {
  const client = await open(t);
  const [path] = await onDisk(t, { 'edited.bin': large });
  const release = client.chunks.hold('edited.bin', 1);
  await client.choose(path);
  await client.chunks.until(({ index }) => index === 1);
  await writeFile(path, noise(CHUNK * 3 + 1234, 42));
  release();
  await client
    .row('edited.bin')
    .getByText(/was changed or moved/)
    .waitFor();
  await client.row('edited.bin').locator('input').setInputFiles(path);
  await client
    .row('edited.bin')
    .getByText(/a different file: it has been changed/)
    .waitFor();
});

test('names are shown as text, whatever they look like', TIMEOUT, async (t) => {
  const client = await open(t);
  const name = '<img src=x onerror=alert(1)>.bin';
  const release = client.chunks.hold(name, 0);
  await client.choose(asFile(name, '', small));
  await client.row(name).getByText(name).waitFor();
  release();
  await client.row(name).waitFor({ state: 'detached' });
  await client.page.route('**/pm/upload/?cursor=*', async (route) => {
    const response = await route.fetch();
    const text = (await response.text()).replace('_img src=x onerror=alert(1)_.bin', name);
    await route.fulfill({ response, body: text });
  });
  await client.page.reload();
  await client.file(name).getByText(name).waitFor();
  assert.equal(await client.page.locator('img[src=x]').count(), 0);
});

test('on plain http, without what browsers keep for https, uploads work too', TIMEOUT, async (t) => {
  const client = await open(t);
  await client.context.addInitScript(() => {
    Object.defineProperty(Crypto.prototype, 'randomUUID', { value: undefined });
    Object.defineProperty(Navigator.prototype, 'locks', { value: undefined });
  });
  await client.page.reload();
  await client.choose(asFile('plain.bin', '', small));
  await client.uploaded('plain.bin');
  assert.match(client.chunks.seen[0].uuid, V4);
});

test('a token that expires under way is told, and a new link lets the upload go on', TIMEOUT, async (t) => {
  const client = await open(t);
  client.chunks.rule = (chunk, route) => {
    if (chunk.index !== 1) return false;
    client.chunks.rule = null;
    return route
      .fulfill({ status: 401, json: refusal('not_authenticated', 'the access token has expired') })
      .then(() => true);
  };
  await client.choose(...(await onDisk(t, { 'large.bin': large })));
  await client.page.getByText('Your link has expired').waitFor();
  await client.inState('large.bin', 'held');
  await client.page.getByRole('textbox', { name: 'Your link' }).fill(await server.pageLink('--user-id', String(client.userId)));
  await client.button('Open').click();
  await client.uploaded('large.bin');
  assert.deepEqual(client.chunks.of('large.bin'), [0, 1, 1, 2, 3]);
});
