// The server's own page: how it opens, its list of files, and how it can be used by anybody, on anything.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { asFile, launchBrowser } from '../lib/browser.mjs';
import { CHUNK, ask, drop, expectSent, newUser, openHaversack, openProfile, refusal, store } from '../lib/haversack.mjs';
import { mp4, noise, pdf, png, wav } from '../lib/samples.mjs';
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

/** The page of a user who has these files. */
async function open(t, files = {}, options = {}) {
  const userId = newUser();
  for (const [name, bytes] of Object.entries(files)) await store(server, userId, name, bytes);
  return openHaversack(t, browser, server, { userId, ...options });
}

test('the link opens the page, and its token stays in this tab’s session alone', TIMEOUT, async (t) => {
  const { page, context, link, userId } = await open(t);
  await page.getByText('Nothing here yet').waitFor();
  assert.equal(page.url(), `${server.url}/`, 'the address bar shows no token');
  assert.equal(await page.locator('#who').textContent(), `User ${userId}`);
  const token = link.split('#token=')[1];
  assert.deepEqual(await page.evaluate(() => Object.values(sessionStorage)), [token]);
  assert.deepEqual(await page.evaluate(() => Object.values(localStorage)), []);
  assert.deepEqual(await context.cookies(), []);
  await page.reload();
  await page.locator('#files').waitFor();
});

test('the link that is printed without options is that of user 1', TIMEOUT, async (t) => {
  const context = await openProfile(t, browser, server);
  const page = await context.newPage();
  await page.goto(await server.pageLink());
  await page.getByText('User 1', { exact: true }).waitFor();
});

test('without a link the page says in plain words what to do, and takes a link that is pasted', TIMEOUT, async (t) => {
  const { page } = await openHaversack(t, browser, server, { at: server.url, waitFor: '#gate' });
  await page.getByText('Ask the person who gave you this address').waitFor();
  assert.equal(await page.locator('#drop').isVisible(), false);
  assert.doesNotMatch(await page.locator('#gate').innerText(), /token\b|page-link|HS256/i);
  await page.getByText('For the person who runs this server').click();
  await page.getByText('haversack page-link').waitFor();
  const field = page.getByRole('textbox', { name: 'Your link' });
  await field.fill('open sesame');
  await page.getByRole('button', { name: 'Open' }).click();
  await page
    .getByRole('alert')
    .getByText(/isn’t a link to this page/)
    .waitFor();
  await field.fill(await server.pageLink('--user-id', '7'));
  await page.keyboard.press('Enter');
  await page.getByText('User 7').waitFor();
  await page.locator('#gate').waitFor({ state: 'hidden' });
});

test('an expired link says so, and to ask for another; that one opens in the same tab', TIMEOUT, async (t) => {
  const at = `${server.url}/#token=${server.token(8, -1)}`;
  const { page } = await openHaversack(t, browser, server, { at, waitFor: '#gate' });
  await page.getByText('Your link has expired').waitFor();
  await page.getByText('Ask the person who gave you this address').waitFor();
  await page.goto(await server.pageLink('--user-id', '8')); // only the fragment differs: nothing is loaded again
  await page.getByText('Nothing here yet').waitFor();
});

test('a link of another server is refused in plain words, and the server’s own are folded away', TIMEOUT, async (t) => {
  const [head, , signature] = server.token(8).split('.');
  const claims = Buffer.from('{"user_id": 8}').toString('base64url');
  const at = `${server.url}/#token=${[head, claims, signature].join('.')}`;
  const { page } = await openHaversack(t, browser, server, { at, waitFor: '#gate' });
  await page.getByText('This link doesn’t work').waitFor();
  assert.doesNotMatch(await page.locator('#gate').innerText(), /HS256/);
  await page.getByText('For the person who runs this server').click();
  await page.getByText(/^The server says: .*HS256/).waitFor();
});

test('a link of another user, opened in the same tab, shows that user’s files', TIMEOUT, async (t) => {
  const client = await open(t, { 'first.bin': noise(10) });
  const other = newUser();
  await store(server, other, 'second.bin', noise(10));
  await client.page.goto(await server.pageLink('--user-id', String(other)));
  await client.file('second.bin').waitFor();
  assert.equal(await client.file('first.bin').count(), 0);
});

test('a list that can not be had says why, and can be asked for again', TIMEOUT, async (t) => {
  const context = await openProfile(t, browser, server);
  const page = await context.newPage();
  let broken = true;
  await page.route('**/pm/upload/?cursor=', (route) => {
    if (!broken) return route.continue();
    return route.fulfill({ status: 500, json: refusal('internal', 'the disk is full of bees') });
  });
  await page.goto(await server.pageLink());
  await page.getByText('The disk is full of bees.').waitFor();
  broken = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.locator('#files').waitFor();
});

test('the list is newest first, and goes on page by page', TIMEOUT, async (t) => {
  const names = Array.from({ length: 53 }, (_, at) => [`${at}.bin`, noise(10, at)]);
  const { page, button } = await open(t, Object.fromEntries(names.map(([name, bytes]) => [`f${name}`, bytes])));
  const rows = page.locator('#file-rows li');
  assert.equal(await rows.count(), 50);
  assert.equal(await rows.first().getAttribute('data-name'), 'f52.bin');
  await button('Show more').click();
  await rows.nth(52).waitFor();
  assert.equal(await rows.last().getAttribute('data-name'), 'f0.bin');
  await button('Show more').waitFor({ state: 'hidden' });
});

test('pictures, videos and sounds are shown and played in a dialog', TIMEOUT, async (t) => {
  const { page, button } = await open(t, { 'dots.png': png(64), 'clip.mp4': mp4(), 'silence.wav': wav() });
  await page.locator('#file-rows li[data-name="dots.png"] img').waitFor();
  for (const [name, selector, works] of [
    ['dots.png', 'img', (image) => image.decode().then(() => image.naturalWidth === 64)],
    ['clip.mp4', 'video', (video) => video.play().then(() => video.videoWidth === 64)],
    ['silence.wav', 'audio', (audio) => audio.play().then(() => audio.duration === 1)],
  ]) {
    await page.getByRole('button', { name: `Preview ${name}` }).click();
    const shown = page.getByRole('dialog', { name }).locator(selector);
    await shown.waitFor();
    assert.equal(await shown.evaluate(works), true, name);
    if (selector === 'img') await page.keyboard.press('Escape');
    else await button('Close').click();
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await shown.waitFor({ state: 'detached' }); // nothing plays on
  }
});

test('a thumbnail that comes a little later is shown', TIMEOUT, async (t) => {
  const client = await open(t);
  const big = Buffer.concat([png(8), noise(1_100_000)]); // too large to stand for itself
  await client.choose(asFile('later.png', 'image/png', big));
  await client.uploaded('later.png');
  const { uuid } = client.chunks.seen[0];
  const body = new FormData();
  body.append('file', new Blob([png(8)]), 'thumbnail.png');
  body.append('parentuuid', uuid);
  assert.equal((await ask(server, client.userId, '', { method: 'POST', body })).status, 200);
  await client.file('later.png').locator('img').waitFor();
});

test('a file of any type is downloaded as it is', TIMEOUT, async (t) => {
  const bytes = pdf(5000);
  const { page, button } = await open(t, { 'report.pdf': bytes });
  await page.getByRole('button', { name: 'Details of report.pdf' }).click();
  await page.getByText('This kind of file can’t be shown here.').waitFor();
  const click = () => page.getByRole('dialog').getByRole('link', { name: 'Download' }).click();
  const [download] = await Promise.all([page.waitForEvent('download'), click()]);
  assert.equal(download.suggestedFilename(), 'report.pdf');
  assert.ok((await readFile(await download.path())).equals(bytes));
  await button('Close').click();
});

test('a tile says kind, size and date, and the dialog says all there is to know', TIMEOUT, async (t) => {
  const { page, file } = await open(t, { 'report.pdf': pdf(5000), 'silence.wav': wav(), 'dots.png': png(64) });
  await file('report.pdf').getByText('PDF document').waitFor();
  assert.match(await file('report.pdf').innerText(), /6\sKB\sToday, \d\d:\d\d/);
  assert.match(await file('silence.wav').innerText(), /WAV audio\s+0:01/);
  await page.getByRole('button', { name: 'Preview dots.png' }).click();
  await page.getByText(/^PNG image · 64 × 64 · 12\sKB · \d+\s\w+\s20\d\d,\s\d\d:\d\d$/).waitFor();
});

test('a file whose metadata was kept says so in its dialog, others don’t', TIMEOUT, async (t) => {
  const { page, button } = await open(t, { 'cleaned.png': png(8), 'kept.png': png(8) }, {
    route: [
      '**/pm/upload/?cursor=',
      async (route) => {
        const response = await route.fetch();
        const json = await response.json();
        for (const file of json.results) file.metadata = file.filename === 'kept.png' ? 'kept' : 'removed';
        await route.fulfill({ response, json });
      },
    ],
  });
  const note = page.getByText('are still in this file');
  await page.getByRole('button', { name: 'Preview kept.png' }).click();
  await note.waitFor();
  await button('Next file').click();
  await page.getByRole('dialog', { name: 'cleaned.png' }).waitFor();
  assert.equal(await note.isVisible(), false);
});

for (const api of [true, false]) {
  test(`the link is copied ${api ? 'by the clipboard API' : 'without the clipboard API'}`, TIMEOUT, async (t) => {
    const { page, button } = await open(
      t,
      { 'shared.bin': noise(100, 3) },
      { permissions: ['clipboard-read', 'clipboard-write'] },
    );
    if (!api) await page.evaluate(() => (navigator.clipboard.writeText = () => Promise.reject(new Error('no'))));
    await page.getByRole('button', { name: 'Details of shared.bin' }).click();
    await button('Copy link').click();
    await page.locator('#status').getByText('Link copied.').waitFor();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    await expectSent(link, noise(100, 3));
  });
}

test('where a browser does not let pages copy, that is said', TIMEOUT, async (t) => {
  const { page, button } = await open(t, { 'shared.bin': noise(100, 3) });
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new Error('no'));
    document.execCommand = () => false;
  });
  await page.getByRole('button', { name: 'Details of shared.bin' }).click();
  await button('Copy link').click();
  await page.locator('#notice').getByText('This browser doesn’t allow copying.').waitFor();
});

test('everything can be done with the keyboard', TIMEOUT, async (t) => {
  const { page, file } = await open(t, { 'other.bin': noise(9), 'keys.png': png(8) });
  const focused = () =>
    page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText.trim());
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  await press('Tab');
  assert.equal(await focused(), 'Choose files');
  await Promise.all([page.waitForEvent('filechooser'), press('Enter')]);
  await press('Tab');
  assert.match(await focused(), /^Preview\s+keys\.png/);
  await press('Enter');
  await page.getByRole('dialog').waitFor();
  assert.equal(await focused(), 'Close');
  await press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.match(await focused(), /^Preview\s+keys\.png/, 'the focus is back where it was');
  await press('Tab', 'Space');
  assert.equal(await focused(), 'Select keys.png');
  await page.getByText('1 selected').first().waitFor();
  await press('Shift+Tab', 'Shift+Tab');
  assert.equal(await focused(), 'Delete');
  await press('Enter');
  await file('keys.png').waitFor({ state: 'hidden' });
  assert.equal(await focused(), 'Files', 'the focus is not lost with the button');
  await press('Control+z');
  assert.match(await focused(), /^Preview\s+keys\.png/);
  await press('Delete');
  assert.match(await focused(), /^Details of\s+other\.bin/, 'the focus is not lost with the file');
});

/** Fills the page with uploads in many states: sending, paused, failed, waiting for a retry and for its turn. */
async function busy(client) {
  client.chunks.rule = async (chunk, route) => {
    const wrong = { 'failed.bin': [409, {}, true], 'retried.bin': [503, { 'Retry-After': '600' }, false] }[chunk.name];
    if (!wrong) return new Promise(() => {}); // for ever
    const [status, headers, preventRetry] = wrong;
    await route.fulfill({
      status,
      headers,
      json: refusal('some_code', `the server says no to ${chunk.name}`, { preventRetry }),
    });
    return true;
  };
  const long = 'a name that is so long that it can not possibly fit on any screen of any telephone.bin';
  await drop(
    client.page,
    ...['failed.bin', 'paused.bin', 'retried.bin', long, 'sent.png', 'waiting.bin'].map((name) =>
      asFile(name, '', noise(2000)),
    ),
  );
  await client.inState('paused.bin', 'sending');
  await client.inState('failed.bin', 'failed');
  await client.inState('retried.bin', 'retrying');
  await client.inState(long, 'sending');
}

const KINDS = { 'dots.png': png(32), 'clip.mp4': mp4(), [`${'long'.repeat(40)}.pdf`]: pdf() };

test('at 360 pixels nothing scrolls sideways, and every target is large enough for a finger', TIMEOUT, async (t) => {
  const client = await open(t, KINDS, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  const { page } = client;
  await busy(client);
  const fits = async () => {
    const { wide, small } = await page.evaluate(() => {
      const visible = [...document.querySelectorAll('button, a')].filter((element) => element.checkVisibility());
      const tooSmall = visible.filter(
        (element) => element.getBoundingClientRect().width < 44 || element.getBoundingClientRect().height < 44,
      );
      return { wide: document.documentElement.scrollWidth, small: tooSmall.map((element) => element.outerHTML) };
    });
    assert.equal(wide, 360);
    assert.deepEqual(small, []);
  };
  await fits();
  await client.file('dots.png').getByRole('checkbox').click();
  await fits();
  await client.button('Delete').click();
  await fits();
  await client.button('Dismiss').click();
  await page.getByRole('button', { name: 'Preview clip.mp4' }).click();
  await page.locator('video').waitFor();
  await fits();
  await page.keyboard.press('Escape');
  await page.evaluate(() => sessionStorage.clear());
  await page.goto('about:blank');
  await page.goto(server.url);
  await page.locator('#gate').waitFor();
  await fits();
});

test('at 320 pixels every button of a preview can be seen', TIMEOUT, async (t) => {
  const { page } = await open(t, { 'note.txt': Buffer.from('hello') }, { viewport: { width: 320, height: 640 } });
  await page.getByRole('button', { name: 'Details of note.txt' }).click();
  for (const button of await page.locator('#preview button:visible, #preview a:visible').all()) {
    const { x, width } = await button.boundingBox();
    assert.ok(x >= 0 && x + width <= 320, `${await button.getAttribute('aria-label')}: ${x} to ${x + width}`);
  }
});

/** Asserts that nothing lies on any of these elements. */
async function assertUncovered(elements) {
  for (const element of await elements.all()) {
    const onTop = await element.evaluate((element) => {
      const { x, y, width, height } = element.getBoundingClientRect();
      return element.contains(document.elementFromPoint(x + width / 2, y + height / 2));
    });
    assert.ok(onTop, await element.innerText());
  }
}

test('what can be taken back hides no button of a preview', TIMEOUT, async (t) => {
  const { page, file, button } = await open(t, { 'first.txt': Buffer.from('1'), 'second.txt': Buffer.from('2') });
  await file('second.txt').getByRole('button').click();
  await button('Delete').click();
  await button('Undo').waitFor();
  for (const [width, height] of [[360, 740], [320, 640], [1280, 700], [1280, 1000]]) {
    await page.setViewportSize({ width, height });
    await assertUncovered(page.locator('#preview footer').locator('button, a'));
  }
});

test('on a narrow tile the length of a video does not hide what kind of file it is', TIMEOUT, async (t) => {
  const { page, file } = await open(t, { 'clip.mp4': mp4() }, { viewport: { width: 320, height: 640 } });
  await file('clip.mp4').getByText('MP4 video').waitFor();
  const [kind, badge] = await Promise.all(['.kind', '.badge'].map((part) => page.locator(part).boundingBox()));
  assert.ok(kind.y + kind.height <= badge.y, `kind to ${kind.y + kind.height}, length from ${badge.y}`);
});

test('the progress of a large file is no stream of announcements', TIMEOUT, async (t) => {
  const client = await open(t);
  await client.page.evaluate(() => {
    globalThis.announced = [];
    new MutationObserver(() => globalThis.announced.push(document.querySelector('#status').textContent)).observe(
      document.querySelector('#status'),
      { childList: true, characterData: true, subtree: true },
    );
  });
  await client.choose(asFile('quiet.bin', '', noise(CHUNK * 3, 4)));
  await client.uploaded('quiet.bin');
  const announced = await client.page.evaluate(() => globalThis.announced);
  assert.deepEqual(announced, ['1 file added', 'quiet.bin: uploaded']);
});
