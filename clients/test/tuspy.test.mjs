// tuspy, the client of Python (PyPI): runs in an environment of its own, which HAVERSACK_TUSPY names.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { onDisk } from '../lib/haversack.mjs';
import { noise, png } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';
import { expectUploaded } from '../lib/tus.mjs';

const TIMEOUT = { timeout: 40_000 };
const PYTHON = process.env.HAVERSACK_TUSPY ?? resolve(import.meta.dirname, '../../target/tuspy/bin/python3');
const SCRIPT = join(import.meta.dirname, '../python/upload.py');

let server;

before(async () => {
  if (!existsSync(PYTHON)) {
    throw new Error(`No Python with tuspy at ${PYTHON}: clients/README.md says how to make one, or set HAVERSACK_TUSPY.`);
  }
  server = await startServer({ HAVERSACK_MAX_FILE_SIZE: '5MiB' });
});

after(() => server?.stop());

/** Uploads a file with these options of tuspy's; what it printed. */
async function upload(file, options = {}, more = {}) {
  const child = spawn(PYTHON, [SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify({ endpoint: server.tus, token: server.token(), file, options, ...more }));
  let printed = '';
  child.stdout.on('data', (text) => (printed += text));
  const [code] = await once(child, 'close');
  assert.equal(code, 0, 'the client ends in order');
  return JSON.parse(printed);
}

test('a file goes up in one request', TIMEOUT, async (t) => {
  const bytes = png(200);
  const [path] = await onDisk(t, { 'dots.png': bytes });
  const { url } = await upload(path, { metadata: { filename: 'dots.png' } });
  await expectUploaded(server, url, bytes, { filename: 'dots.png', mimetype: 'image/png' });
});

test('chunks with checksums end in one File', TIMEOUT, async (t) => {
  const bytes = noise(900_000, 1);
  const [path] = await onDisk(t, { 'a.bin': bytes });
  const { url } = await upload(path, { chunk_size: 200_000, upload_checksum: true, metadata: { filename: 'a.bin' } });
  await expectUploaded(server, url, bytes, { filename: 'a.bin' });
});

test('an upload that stopped is resumed by its stored address', TIMEOUT, async (t) => {
  const bytes = noise(900_000, 2);
  const [path, storage] = await onDisk(t, { 'a.bin': bytes, 'urls.json': '' });
  const options = { chunk_size: 100_000 };
  const first = await upload(path, options, { storage, stop_at: 400_000 });
  const second = await upload(path, options, { storage });
  assert.equal(second.url, first.url);
  assert.equal(second.begun_at, 400_000);
  await expectUploaded(server, second.url, bytes);
});

test('a file above the limit is refused with a sentence', TIMEOUT, async (t) => {
  const [path] = await onDisk(t, { 'large.bin': noise(5 * 1024 * 1024 + 1, 3) });
  const { status, body } = await upload(path);
  assert.equal(status, 413);
  assert.match(JSON.parse(body).error, /limit/);
});
