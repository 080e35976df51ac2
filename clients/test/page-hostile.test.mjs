// Files that carry scripts: whoever opens or embeds their links runs none of them. A page of another origin embeds
// them in every way there is; a listener hears if one does anything.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launchBrowser } from '../lib/browser.mjs';
import { store } from '../lib/haversack.mjs';
import { startServer } from '../lib/server.mjs';

const TIMEOUT = { timeout: 60_000 };

let server, browser, listener;
const heard = [];
const pages = new Map(); // path -> HTML that the listener serves

before(async () => {
  server = await startServer();
  browser = await launchBrowser();
  listener = createServer((request, response) => {
    const page = pages.get(request.url);
    if (!page && request.url.startsWith('/heard')) heard.push(request.url);
    response.writeHead(page ? 200 : 204, { 'Content-Type': 'text/html', 'Access-Control-Allow-Origin': '*' });
    response.end(page);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
});

after(async () => {
  await browser?.close();
  listener?.closeAllConnections();
  listener?.close();
  await server?.stop();
});

const address = () => `http://127.0.0.1:${listener.address().port}`;
/** What a script does when it runs: it calls, it leaves its mark, it goes elsewhere. */
const script = (name) =>
  `document.title = 'ran'; new Image().src = '${address()}/heard/${name}'; fetch('${address()}/heard/${name}');`;

const HOSTILE = {
  'svg script': [
    'picture.svg',
    (js) => `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>${js}</script></svg>`,
  ],
  'svg handler': ['picture.svg', (js) => `<svg xmlns="http://www.w3.org/2000/svg" onload="${js}" width="9" height="9"/>`],
  'svg with html in it': [
    'picture.svg',
    (js) =>
      `<svg xmlns="http://www.w3.org/2000/svg"><foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><img src="x:" onerror="${js}"/></body></foreignObject></svg>`,
  ],
  html: ['page.html', (js) => `<!doctype html><title>still</title><script>${js}</script>`],
  'html without a head': ['note.txt', (js) => `<img src="x:" onerror="${js}">`],
  'html called a picture': ['photo.png', (js) => `<html><body onload="${js}">`],
  xhtml: [
    'page.xhtml',
    (js) => `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>${js}</script></html>`,
  ],
  'a gif that is also a script': ['trick.gif', (js) => `GIF89a/*\u0001\u0000*/=1;${js}`],
};

const EMBEDDED = {
  image: (link) => `<img src="${link}">`,
  frame: (link) => `<iframe src="${link}"></iframe>`,
  object: (link) => `<object data="${link}"></object>`,
  embed: (link) => `<embed src="${link}">`,
  script: (link) => `<script src="${link}"></script>`,
};

/** Opens `url` in a tab and waits until everything in it has loaded or failed. */
async function visit(t, url) {
  const context = await browser.newContext({ acceptDownloads: false });
  t.after(() => context.close());
  const page = await context.newPage();
  // What is sent as an attachment ends the navigation with a download instead.
  await page
    .goto(url, { waitUntil: 'networkidle' })
    .catch((error) => assert.match(error.message, /Download is starting|ERR_ABORTED/));
  return page.title();
}

/** A page of another origin that embeds `link`; its title tells whether a script ran in it. */
function embedding(link, path) {
  pages.set(
    path,
    `<!doctype html><title>still</title>${Object.values(EMBEDDED)
      .map((write) => write(link))
      .join('')}`,
  );
  return `${address()}${path}`;
}

test('the listener hears a script that runs', TIMEOUT, async (t) => {
  for (const [name, [, write]] of Object.entries(HOSTILE).filter(([name]) => name === 'html')) {
    pages.set('/control', write(script('control')));
    assert.equal(await visit(t, `${address()}/control`), 'ran', name);
    await visit(t, embedding('/control', '/embedding-control'));
  }
  assert.ok(heard.filter((path) => path === '/heard/control').length >= 2, 'opened and embedded');
});

for (const [at, [name, [filename, write]]] of Object.entries(HOSTILE).entries()) {
  test(`a file runs no script: ${name}`, TIMEOUT, async (t) => {
    const file = await store(server, 1, filename, Buffer.from(write(script(at)), 'latin1'));
    for (const link of [file.file_url, `${file.file_url}&download`]) {
      assert.notEqual(await visit(t, link), 'ran');
      assert.equal(await visit(t, embedding(link, `/embedding-${at}`)), 'still');
    }
    assert.deepEqual(
      heard.filter((path) => path === `/heard/${at}`),
      [],
    );
  });
}
