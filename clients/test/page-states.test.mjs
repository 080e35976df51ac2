// The server's own page in every state and look: nobody is shut out. axe checks names, roles, contrast and structure.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { launchBrowser } from '../lib/browser.mjs';
import { openHaversack } from '../lib/haversack.mjs';
import { startServer } from '../lib/server.mjs';
import { SCREENS, STATES } from '../lib/states.mjs';

const TIMEOUT = { timeout: 60_000 };
const AXE = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

let server, browser;

before(async () => {
  server = await startServer();
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const [screen, options] of Object.entries(SCREENS)) {
  for (const [state, bring] of Object.entries(STATES)) {
    test(`axe finds nothing: ${state}, on a ${screen}, light and dark`, TIMEOUT, async (t) => {
      const open = (more) => openHaversack(t, browser, server, { reducedMotion: 'reduce', ...options, ...more });
      const { page } = await bring(open, server);
      await page.evaluate(AXE);
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        await check(page, colorScheme, options.viewport.width);
      }
    });
  }
}

async function check(page, colorScheme, width) {
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = Math.max(...ground.match(/\d+/g).map(Number)) > 128;
  assert.equal(light, colorScheme === 'light', ground);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  assert.deepEqual(
    violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`)}`),
    [],
  );
  const shown = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(shown, width, 'nothing scrolls sideways');
}
