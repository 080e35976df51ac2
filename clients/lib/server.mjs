// Finds, starts and stops the real `haversack` binary, with a free port and a separate data folder.
// A missing binary is an error, never a skipped test.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { signToken } from './token.mjs';

const READY_WITHIN_MS = 15_000;
const STOPPED_WITHIN_MS = 10_000;

function binary() {
  const target = resolve(import.meta.dirname, '../../target');
  const candidates = [process.env.HAVERSACK_BIN, join(target, 'release/haversack'), join(target, 'debug/haversack')];
  const found = candidates.find((path) => path && existsSync(path));
  if (process.env.HAVERSACK_BIN && found !== process.env.HAVERSACK_BIN) {
    throw new Error(`HAVERSACK_BIN names ${process.env.HAVERSACK_BIN}, which does not exist.`);
  }
  if (!found) {
    throw new Error('No haversack binary: run `cargo build` first, or set HAVERSACK_BIN to one.');
  }
  return resolve(found);
}

/** Starts the program. Resolves with its URL and functions to stop it. */
async function launch(program, settings) {
  const child = spawn(program, ['serve'], { env: { ...process.env, ...settings }, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');

  let logs = '';
  child.stderr.on('data', (text) => (logs = (logs + text).slice(-20_000)));

  const stop = async () => {
    const late = setTimeout(() => child.kill('SIGKILL'), STOPPED_WITHIN_MS);
    child.kill('SIGTERM');
    const [, signal] = await exited;
    clearTimeout(late);
    if (signal === 'SIGKILL') throw new Error(`The server did not stop on SIGTERM. Its log ends:\n${logs}`);
  };

  const ready = new Promise((found, failed) => {
    const late = setTimeout(() => failed(new Error(`Not listening after ${READY_WITHIN_MS} ms.`)), READY_WITHIN_MS);
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [, url] = /^listening on (http:\/\/\S+)$/.exec(line) ?? [];
      if (!url) return;
      clearTimeout(late);
      found(url);
    });
    exited.then(
      ([code, signal]) => failed(new Error(`The server ended early (${code ?? signal}).`)),
      (error) => failed(error),
    );
  });

  try {
    return { url: await ready, stop };
  } catch (error) {
    await stop().catch(() => {});
    throw new Error(`${error.message} Its log ends:\n${logs}`);
  }
}

/** Starts a server; `env` adds settings such as HAVERSACK_MAX_FILE_SIZE. Call `stop()` when done. */
export async function startServer(env = {}) {
  const program = binary();
  const secret = randomBytes(32).toString('hex');
  const dataDir = await mkdtemp(join(tmpdir(), 'haversack-clients-'));
  const settings = { HAVERSACK_LISTEN: '127.0.0.1:0', HAVERSACK_DATA_DIR: dataDir, HAVERSACK_JWT_SECRET: secret, ...env };
  const forget = () => rm(dataDir, { recursive: true, force: true });
  let running = await launch(program, settings).catch(async (error) => {
    await forget();
    throw error;
  });
  const { url } = running;
  // It has the same address after a restart.
  const again = { ...settings, HAVERSACK_LISTEN: new URL(url).host };
  const print = async (...args) => {
    const { stdout } = await promisify(execFile)(program, args, { env: { ...process.env, ...again } });
    return stdout.trim();
  };

  return {
    url,
    uploads: `${url}/api/v2/pm/upload/`,
    tus: `${url}/api/v2/tus/`,
    token: (userId = 1, ttl = undefined) => signToken(secret, { userId, ttl }),
    /** The token that `haversack token` itself prints for this server. */
    printedToken: (...args) => print('token', ...args),
    /** The link that `haversack page-link` prints for this server. */
    pageLink: (...args) => print('page-link', ...args),
    /** Stops it and keeps its data. */
    halt: () => running.stop(),
    /** Starts it again after it was stopped. */
    async resume() {
      running = await launch(program, again);
    },
    async stop() {
      await running.stop().finally(forget);
    },
  };
}
