// Photographs every state of the server's own page on every screen, light and dark: `npm run screenshots -- FOLDER [STATE…]`.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launchBrowser } from './lib/browser.mjs';
import { openHaversack } from './lib/haversack.mjs';
import { SCREENS, STATES } from './lib/states.mjs';
import { startServer } from './lib/server.mjs';

const [folder, ...wanted] = process.argv.slice(2);
if (!folder) throw new Error('Say where to: npm run screenshots -- FOLDER [STATE…]');
await mkdir(folder, { recursive: true });

const server = await startServer();
const browser = await launchBrowser();
for (const [screen, options] of Object.entries(SCREENS)) {
  for (const [state, bring] of Object.entries(STATES)) {
    if (wanted.length && !wanted.includes(state)) continue;
    const endings = [];
    const t = { after: (end) => endings.push(end) };
    const client = await bring((more) => openHaversack(t, browser, server, { ...options, ...more }), server);
    for (const colorScheme of ['light', 'dark']) {
      await client.page.emulateMedia({ colorScheme });
      await client.page.screenshot({ path: join(folder, `${state} - ${screen}, ${colorScheme}.png`), animations: 'disabled' });
    }
    for (const end of endings) await end();
    console.log(`${state}, ${screen}`);
  }
}
await browser.close();
await server.stop();
