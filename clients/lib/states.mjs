// All states in which users see the server's own page, for the test and the screenshots that go through them.
// Each function opens the page of a new user with `open(options)` and brings it into a state.
import { asFile } from './browser.mjs';
import { CHUNK, ask, newUser, refusal, store } from './haversack.mjs';
import { landscape, mp4, noise, pdf, wav } from './samples.mjs';

const LONG = 'Notes of the meeting about the garden, the new fence and who waters the tomatoes in August (final).pdf';

/** The files of a typical list. */
const FILES = {
  'todo.txt': Buffer.from('- water the tomatoes\n- call Anna\n'),
  'Voice message.wav': wav(),
  [LONG]: pdf(180_000),
  'numbers.csv': Buffer.from('a,b\n1,2\n'),
  'Harbour.png': landscape(640, 480, 3),
  'First steps.mp4': mp4(2_400_000),
  'Tall tree.png': landscape(360, 640, 8),
  'backup.bin': noise(3_600_000, 9),
  'Lake in the morning.png': landscape(800, 450, 5),
};

async function filled(server, files = FILES) {
  const userId = newUser();
  for (const [name, bytes] of Object.entries(files)) await store(server, userId, name, bytes);
  return userId;
}

/**
 * Lets only this many chunks of each name through. `held` resolves once the others are waiting, and `letGo` releases
 * them: to the server, or as its argument says.
 */
function holdAt({ chunks }, holds) {
  let letGo;
  const released = new Promise((resolve) => (letGo = resolve));
  chunks.rule = async ({ name, index }, route) => {
    if (index < (holds[name] ?? 0)) return false;
    return (await released)?.(route);
  };
  const held = Object.entries(holds).map(([name, at]) => chunks.until((chunk) => chunk.name === name && chunk.index === at));
  return { held: Promise.all(held), letGo };
}

const photo = (n) => asFile(`IMG_20${40 + n}.png`, 'image/png', landscape(320, 240, n));

/** The states by name. Each resolves with its client once everything is visible. */
export const STATES = {
  async 'without a link'(open, server) {
    return open({ at: server.url, waitFor: '#gate' });
  },

  async 'expired link'(open, server) {
    const client = await open({ at: `${server.url}/#token=${server.token(8, -1)}`, waitFor: '#gate' });
    await client.page.getByText('has expired').first().waitFor();
    return client;
  },

  async empty(open) {
    return open();
  },

  async sending(open, server) {
    const client = await open({ userId: await filled(server) });
    const many = Array.from({ length: 9 }, (_, at) => photo(at));
    const { held } = holdAt(client, { 'Summer concert.mov': 5, 'Harbour panorama.png': 2, [LONG]: 1 });
    await client.choose(
      asFile('Summer concert.mov', 'video/quicktime', noise(CHUNK * 8, 1)),
      asFile('Harbour panorama.png', 'image/png', Buffer.concat([landscape(640, 240, 2), noise(CHUNK * 3, 2)])),
      asFile(LONG, 'application/pdf', noise(CHUNK * 2, 3)),
      ...many,
    );
    await held;
    return client;
  },

  async paused(open, server) {
    const client = await open({ userId: await filled(server) });
    const { held, letGo } = holdAt(client, { 'Summer concert.mov': 5, [LONG]: 1 });
    await client.choose(
      asFile('Summer concert.mov', 'video/quicktime', noise(CHUNK * 8, 1)),
      asFile(LONG, 'application/pdf', noise(CHUNK * 2, 3)),
    );
    await held;
    await client.button('Pause all').click();
    letGo();
    await client.inState('Summer concert.mov', 'paused');
    await client.inState(LONG, 'paused');
    return client;
  },

  async 'after a reload'(open, server) {
    const userId = await filled(server);
    await begin(server, userId, 'Grandma’s birthday.mp4', 3, 2);
    await begin(server, userId, 'Scan of the contract.pdf', 2, 2);
    const client = await open({ userId });
    client.chunks.rule = ({ name }, route) => {
      if (name === 'Whole holiday, uncut.mov') return refuse(route, 413, 'file_too_large', TOO_LARGE);
      return new Promise(() => {});
    };
    await client.choose(
      asFile('Whole holiday, uncut.mov', 'video/quicktime', noise(CHUNK, 1)),
      asFile('Summer concert.mov', 'video/quicktime', noise(CHUNK * 2, 1)),
    );
    await client.inState('Whole holiday, uncut.mov', 'failed');
    await client.inState('Summer concert.mov', 'sending');
    await client.page.reload();
    await client.page.locator('.tile').first().waitFor();
    await client.inState('Scan of the contract.pdf', 'ready');
    await client.inState('Summer concert.mov', 'sending');
    return client;
  },

  async refused(open, server) {
    const client = await open({ userId: await filled(server) });
    client.chunks.rule = ({ name }, route) => {
      if (name.startsWith('Whole')) return refuse(route, 413, 'file_too_large', TOO_LARGE);
      return refuse(route, 413, 'quota_exceeded', QUOTA);
    };
    await client.choose(
      asFile('Whole holiday, uncut.mov', 'video/quicktime', noise(CHUNK, 1)),
      asFile('IMG_2042.png', 'image/png', landscape(320, 240, 4)),
    );
    await client.inState('Whole holiday, uncut.mov', 'failed');
    await client.inState('IMG_2042.png', 'failed');
    return client;
  },

  async 'server away'(open, server) {
    const client = await open({ userId: await filled(server) });
    const { held, letGo } = holdAt(client, { 'Summer concert.mov': 3, 'Harbour panorama.png': 1 });
    await client.choose(
      asFile('Summer concert.mov', 'video/quicktime', noise(CHUNK * 8, 1)),
      asFile('Harbour panorama.png', 'image/png', Buffer.concat([landscape(640, 240, 2), noise(CHUNK * 3, 2)])),
      photo(1),
    );
    await held;
    const abort = (route) => route.abort().then(() => true);
    letGo(abort);
    client.chunks.rule = (chunk, route) => abort(route);
    for (const name of ['Summer concert.mov', 'Harbour panorama.png']) await client.inState(name, 'retrying');
    return client;
  },

  async 'list away'(open, server) {
    const userId = await filled(server);
    return open({ userId, route: ['**/pm/upload/?cursor=', (route) => route.abort()], waitFor: '#list-trouble' });
  },

  async finished(open, server) {
    const client = await open({ userId: await filled(server) });
    await client.choose(photo(1), photo(2), photo(3));
    for (const n of [1, 2, 3]) await client.uploaded(photo(n).name);
    await pictures(client, 3);
    return client;
  },

  async 'fifty files'(open, server) {
    const files = Array.from({ length: 42 }, (_, at) => [`IMG_${2100 + at}.png`, landscape(320, 240, at + 20)]);
    const client = await open({ userId: await filled(server, { ...Object.fromEntries(files), ...FILES }) });
    await pictures(client, 20);
    return client;
  },

  async selecting(open, server) {
    const client = await open({ userId: await filled(server) });
    await pictures(client, 3);
    for (const name of ['Harbour.png', LONG]) await client.file(name).getByRole('checkbox').click();
    return client;
  },

  async deleted(open, server) {
    const client = await open({ userId: await filled(server) });
    await client.file(LONG).getByRole('checkbox').click();
    await client.button('Delete').click();
    await client.button('Undo').waitFor();
    await pictures(client, 3);
    return client;
  },

  async 'not deleted'(open, server) {
    const client = await open({ userId: await filled(server) });
    await client.page.route('**/pm/upload/*/', (route) => refuse(route, 409, 'attached', ATTACHED));
    await client.file(LONG).getByRole('checkbox').click();
    await client.button('Delete').click();
    await client.button('Dismiss').click(); // now
    await client.page.locator('#notice.trouble').waitFor();
    return client;
  },

  async picture(open, server) {
    const client = await open({ userId: await filled(server) });
    await client.file('Lake in the morning.png').getByRole('button').click();
    await client.page.locator('#preview-stage img').evaluate((image) => image.decode());
    return client;
  },

  async video(open, server) {
    const client = await open({ userId: await filled(server) });
    await client.file('First steps.mp4').getByRole('button').click();
    await client.page.locator('#preview-stage video').waitFor();
    return client;
  },

  async 'no preview'(open, server) {
    const client = await open({ userId: await filled(server) });
    await client.file(LONG).getByRole('button').click();
    await client.page.locator('#preview-none').waitFor();
    return client;
  },
};

const TOO_LARGE = 'the file has 7368709120 bytes, but the limit is 5368709120 bytes';
const QUOTA =
  'this takes more than the 12000 bytes that are left of your 50000000 bytes: delete files or cancel unfinished uploads first';
const ATTACHED = 'this file is attached to a message, so it can no longer be changed or deleted';

function refuse(route, status, code, message) {
  return route.fulfill({ status, json: refusal(code, message, { preventRetry: true }) }).then(() => true);
}

/** Waits until this many tiles show their picture. */
const pictures = ({ page }, count) =>
  page.waitForFunction((count) => document.querySelectorAll('.tile.pictured').length >= count, count);

/** An upload of `total` chunks that another program began, of which `sent` have arrived. */
async function begin(server, userId, filename, total, sent) {
  const bytes = noise(total * 300_000, 7);
  let uuid;
  for (let index = 0; index < sent; index++) {
    const body = new FormData();
    const fields = { ...(uuid && { uuid }), partindex: index, totalparts: total, totalfilesize: bytes.length, filename };
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
    body.append('file', new Blob([bytes.subarray(index * 300_000, (index + 1) * 300_000)]));
    uuid = (await ask(server, userId, '', { method: 'POST', body })).body.file_uuid;
  }
}

/** The screens on which users see the page, each in light and dark, as options of a browser profile. */
export const SCREENS = {
  desktop: { viewport: { width: 1200, height: 900 } },
  phone: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true },
};
