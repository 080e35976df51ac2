// tus-js-client in Node: the ways in which it sends a file, what it does when the network breaks, and checksums, which it
// leaves to its users.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { FileUrlStorage, Upload } from 'tus-js-client';
import { startProxy } from '../lib/proxy.mjs';
import { mp4, noise, png } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';
import { expectUploaded, tus } from '../lib/tus.mjs';

const TIMEOUT = { timeout: 40_000 };

let server;

before(async () => {
  server = await startServer({ HAVERSACK_MAX_FILE_SIZE: '30MiB' });
});

after(() => server?.stop());

/** Uploads `file`; resolves with the client, the requests it sent and the last reply. */
function upload(file, options = {}) {
  const requests = [];
  return new Promise((resolve, reject) => {
    const client = new Upload(file, {
      endpoint: server.tus,
      headers: { Authorization: `Bearer ${server.token()}` },
      retryDelays: [0, 100, 500, 500],
      onBeforeRequest(request) {
        const [method, offset] = [request.getMethod(), request.getHeader('Upload-Offset')];
        requests.push({ method, offset: offset === undefined ? undefined : Number(offset) });
      },
      ...options,
      onError: reject,
      onSuccess: ({ lastResponse }) => resolve({ client, requests, lastResponse }),
    });
    client.start();
  });
}

const methods = (requests) => requests.map(({ method }) => method).join(' ');

test('a file goes up in one PATCH, whose reply names the File', TIMEOUT, async () => {
  const bytes = noise(20_000_000, 1);
  const { client, requests, lastResponse } = await upload(bytes, { metadata: { filename: 'città.bin' } });
  assert.equal(methods(requests), 'POST PATCH');
  const { uuid } = await expectUploaded(server, client.url, bytes, { filename: 'città.bin' });
  assert.equal(lastResponse.getHeader('File-Uuid'), uuid);
  assert.equal(client.url, `${server.tus}${uuid}`);
});

test('chunks of one size end in one File', TIMEOUT, async () => {
  const bytes = mp4(700_000);
  const metadata = { filename: 'clip.mp4', filetype: 'video/mp4' };
  const { client, requests } = await upload(bytes, { chunkSize: 200_000, metadata });
  assert.equal(methods(requests), `POST${' PATCH'.repeat(Math.ceil(bytes.length / 200_000))}`);
  await expectUploaded(server, client.url, bytes, { filename: 'clip.mp4', mimetype: 'video/mp4' });
});

test('pieces that are sent side by side become one File', TIMEOUT, async () => {
  const bytes = noise(3_000_001, 9);
  const options = { parallelUploads: 3, metadata: { filename: 'film.bin' } };
  const { client, requests } = await upload(bytes, options);
  const sent = requests.map(({ method }) => method).sort();
  assert.deepEqual(sent, ['PATCH', 'PATCH', 'PATCH', 'POST', 'POST', 'POST', 'POST'], 'one POST joins them');
  await expectUploaded(server, client.url, bytes, { filename: 'film.bin' });
});

test('data can come with the creation', TIMEOUT, async () => {
  const bytes = png(100);
  const { client, requests } = await upload(bytes, { uploadDataDuringCreation: true });
  assert.equal(methods(requests), 'POST');
  await expectUploaded(server, client.url, bytes, { filename: 'file.png', mimetype: 'image/png' });
  const some = await upload(noise(500_000, 2), { uploadDataDuringCreation: true, chunkSize: 200_000 });
  assert.equal(methods(some.requests), 'POST PATCH PATCH');
  await expectUploaded(server, some.client.url, noise(500_000, 2));
});

test('the length of a stream may follow with its last bytes', TIMEOUT, async () => {
  const bytes = noise(450_000, 3);
  const { client } = await upload(Readable.from([bytes]), { uploadLengthDeferred: true, chunkSize: 500_000 });
  await expectUploaded(server, client.url, bytes);
});

test('POST can stand for PATCH', TIMEOUT, async () => {
  const bytes = noise(10_000, 4);
  const { client, requests } = await upload(bytes, { overridePatchMethod: true });
  assert.equal(methods(requests), 'POST POST');
  await expectUploaded(server, client.url, bytes);
});

test('a file of no bytes is there once it is created', TIMEOUT, async () => {
  const { client, requests } = await upload(Buffer.alloc(0), { metadata: { filename: 'empty.txt' } });
  assert.equal(methods(requests), 'POST');
  await expectUploaded(server, client.url, Buffer.alloc(0), { filename: 'empty.txt' });
});

test('one PATCH that is cut off goes on behind what had come', TIMEOUT, async (t) => {
  const bytes = noise(25_000_000, 5);
  const proxy = await startProxy(server.url, [20_000_000]);
  t.after(proxy.close);
  const { client, requests } = await upload(bytes, { endpoint: server.tus.replace(server.url, proxy.url) });
  assert.equal(methods(requests), 'POST PATCH HEAD PATCH');
  const { offset } = requests.at(-1);
  assert.ok(offset > 10_000_000 && offset < 20_000_000, `it goes on at ${offset}`);
  await expectUploaded(server, client.url.replace(proxy.url, server.url), bytes);
});

test('an upload that was aborted is resumed by another client', TIMEOUT, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'haversack-tus-'));
  t.after(() => rm(folder, { recursive: true }));
  const [path, bytes] = [join(folder, 'file.bin'), noise(900_000, 6)];
  await writeFile(path, bytes);
  const options = {
    endpoint: server.tus,
    headers: { Authorization: `Bearer ${server.token()}` },
    chunkSize: 200_000,
    urlStorage: new FileUrlStorage(join(folder, 'urls.json')),
  };
  await new Promise((resolve, reject) => {
    const first = new Upload(createReadStream(path), {
      ...options,
      onError: reject,
      onChunkComplete: (size, accepted) => accepted === 400_000 && first.abort().then(resolve, reject),
    });
    first.start();
  });
  const offsets = [];
  const second = await new Promise((resolve, reject) => {
    const second = new Upload(createReadStream(path), {
      ...options,
      onError: reject,
      onSuccess: () => resolve(second),
      onBeforeRequest: (request) => offsets.push(request.getHeader('Upload-Offset')),
    });
    second.findPreviousUploads().then(([previous]) => {
      second.resumeFromPreviousUpload(previous);
      second.start();
    }, reject);
  });
  assert.deepEqual(offsets, [undefined, '400000', '600000', '800000']);
  await expectUploaded(server, second.url, bytes);
});

test('an upload that is terminated is gone', TIMEOUT, async () => {
  const client = await new Promise((resolve, reject) => {
    const client = new Upload(noise(900_000, 7), {
      endpoint: server.tus,
      headers: { Authorization: `Bearer ${server.token()}` },
      chunkSize: 200_000,
      onError: reject,
      onChunkComplete: () => client.abort(true).then(() => resolve(client), reject),
    });
    client.start();
  });
  assert.equal((await tus(server, 'HEAD', client.url)).status, 410);
});

test('a file above the limit is refused before it is sent', TIMEOUT, async () => {
  const error = await upload(noise(30 * 1024 * 1024 + 1, 8)).catch((error) => error);
  assert.equal(error.originalResponse.getStatus(), 413);
  assert.equal(JSON.parse(error.originalResponse.getBody()).errors[0].messages[0].code, 'file_too_large');
});

test('a file with another md5 than it says is refused, and created anew', TIMEOUT, async () => {
  const [bytes, md5] = [noise(10_000, 9), (bytes) => createHash('md5').update(bytes).digest('hex')];
  const wrong = await upload(bytes, { metadata: { md5: md5(Buffer.from('others')) } }).catch((error) => error);
  assert.equal(wrong.originalResponse.getStatus(), 460);
  const { client } = await upload(bytes, { metadata: { md5: md5(bytes) } });
  await expectUploaded(server, client.url, bytes);
});

const checksums = {
  crc32(bytes) {
    const digest = Buffer.alloc(4);
    digest.writeUInt32BE(crc32(bytes));
    return digest.toString('base64');
  },
};
for (const name of ['md5', 'sha1', 'sha256']) {
  checksums[name] = (bytes) => createHash(name).update(bytes).digest('base64');
}

for (const [algorithm, of] of Object.entries(checksums)) {
  test(`a checksum by ${algorithm} keeps what is right and nothing else`, TIMEOUT, async () => {
    const bytes = noise(30_000_000, 10);
    const { headers } = await tus(server, 'POST', server.tus, { 'Upload-Length': String(bytes.length) });
    const url = headers.get('location');
    const send = (from, to, sum) => {
      const headers = {
        'Content-Type': 'application/offset+octet-stream',
        'Upload-Offset': String(from),
        'Upload-Checksum': `${algorithm} ${sum}`,
      };
      return tus(server, 'PATCH', url, headers, { body: bytes.subarray(from, to) });
    };
    const offset = async () => (await tus(server, 'HEAD', url)).headers.get('upload-offset');
    const half = 15_000_000;
    assert.equal((await send(0, half, of(bytes.subarray(0, half)))).status, 204);
    assert.equal((await send(half, bytes.length, of(bytes))).status, 460);
    assert.equal(await offset(), String(half), 'exactly the bytes of that PATCH are discarded');
    assert.equal((await send(half, bytes.length, of(bytes.subarray(half)))).status, 204);
    await expectUploaded(server, url, bytes);
  });
}
