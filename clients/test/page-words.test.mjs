// The server's own page: how it says sizes, times, kinds and speeds. Its modules are asked in the browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launchBrowser } from '../lib/browser.mjs';
import { startServer } from '../lib/server.mjs';

const TIMEOUT = { timeout: 60_000 };

let server, browser, page;

before(async () => {
  server = await startServer();
  browser = await launchBrowser();
  page = await (await browser.newContext({ timezoneId: 'Europe/Rome' })).newPage();
  await page.goto(server.url);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const plain = (text) => text.replaceAll('\u00a0', ' '); // a number and its unit stay on one line

/** What a function of one of the page's modules makes of each list of arguments. */
const said = (module, name, calls) =>
  page.evaluate(
    async ([module, name, calls]) => {
      const { [name]: ask } = await import(`/page/${module}.js`);
      return calls.map((call) => ask(...call));
    },
    [module, name, calls],
  );

test('kinds are said in words that people use', TIMEOUT, async () => {
  const kinds = {
    'image/jpeg': 'JPEG image',
    'image/heic': 'HEIC image',
    'image/webp': 'WebP image',
    'image/svg+xml': 'SVG image',
    'image/vnd.mozilla.apng': 'Image',
    'audio/mpeg': 'MP3 audio',
    'audio/ogg': 'Ogg audio',
    'audio/x-m4a': 'M4A audio',
    'video/mpeg': 'MPEG video',
    'video/quicktime': 'QuickTime video',
    'video/3gpp2': '3GP video',
    'text/plain': 'Text',
    'text/csv': 'CSV table',
    'application/pdf': 'PDF document',
    'application/zip': 'ZIP archive',
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'Text document',
    'application/vnd.oasis.opendocument.spreadsheet': 'Spreadsheet',
    'application/octet-stream': 'File',
  };
  const calls = Object.keys(kinds).map((type) => [type]);
  assert.deepEqual(await said('kinds', 'describeKind', calls), Object.values(kinds));
  const named = [
    ['application/octet-stream', 'drawing.dwg'],
    ['application/octet-stream', 'no extension here'],
    ['application/octet-stream', 'odd.<b>'],
  ];
  assert.deepEqual(await said('kinds', 'describeKind', named), ['DWG file', 'File', 'File']);
});

test('an upload whose type is not known yet has the icon that its name promises', TIMEOUT, async () => {
  const names = ['Birthday.MP4', 'Scan of the contract.pdf', 'photo.jpeg', 'mp4'];
  const icons = await said('kinds', 'iconOf', names.map((name) => ['', name]));
  assert.deepEqual(icons, ['video', 'text', 'image', 'file']);
});

test('the server’s sentences give sizes as the rest of the page does', TIMEOUT, async () => {
  const [shown] = await said('format', 'sentence', [['the file has 32505856 bytes, but the limit is 31457280 bytes']]);
  assert.equal(plain(shown), 'The file has 32.5 MB, but the limit is 31.5 MB.');
});

test('dates are said as they are thought of', TIMEOUT, async () => {
  const shown = await page.evaluate(async () => {
    const { formatDate } = await import('/page/format.js');
    const now = new Date(2026, 10, 3, 9, 5);
    const days = [
      [2026, 10, 3, 0, 1],
      [2026, 10, 2, 23, 59],
      [2026, 10, 1, 12],
      [2025, 11, 31, 12],
    ];
    return days.map((day) => formatDate(new Date(...day), now));
  });
  assert.deepEqual(shown, ['Today, 00:01', 'Yesterday', '1 Nov', '31 Dec 2025']);
});

test('a name that is too long for a sentence keeps its beginning and its end', TIMEOUT, async () => {
  const [short, long] = await said('format', 'shorten', [['cat.png'], [`${'🎒'.repeat(60)} final.pdf`]]);
  assert.equal(short, 'cat.png');
  assert.equal(long, `${'🎒'.repeat(24)}…🎒 final.pdf`);
});

test('a speed at which nothing moves any more is not said', TIMEOUT, async () => {
  const shown = await page.evaluate(async () => {
    const { Meter } = await import('/page/meter.js');
    const meter = new Meter();
    for (const second of [0, 1, 2]) meter.sample(second * 3_000_000, second * 1000);
    const moving = meter.describe(9_000_000, 2_500);
    for (const second of [3, 4, 5, 6]) meter.sample(6_000_000, second * 1000);
    return [moving, meter.describe(9_000_000, 6_000)];
  });
  assert.deepEqual(shown.map(plain), ['3 MB/s · 3 s left', '']);
});
