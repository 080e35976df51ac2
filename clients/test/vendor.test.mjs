// The vendor's published service class (npm @selfcommunity/api-services) in Node: the calls its documents teach.
// Its FormData becomes JSON unless a Content-Type is given with the call, so the calls here give it.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { download, expectError, expectFile, expectSameFile, expectThumbnail } from '../lib/expect.mjs';
import { mp4, noise, png } from '../lib/samples.mjs';
import { startServer } from '../lib/server.mjs';

// Its ES modules are for bundlers only (they import folders), so Node takes its CommonJS.
const require = createRequire(import.meta.url);
const { formatHttpError, formatHttpErrorCode, http, PrivateMessageService } = require('@selfcommunity/api-services');
const { ApiClient } = require('@selfcommunity/api-services/client/index.js');

const CHUNK = 204_800;
const MULTIPART = { headers: { 'Content-Type': 'multipart/form-data' } };
const TIMEOUT = { timeout: 20_000 };

let server;

before(async () => {
  server = await startServer({ HAVERSACK_MAX_FILE_SIZE: '2MiB' });
  http.setBasePortal(server.url);
  http.setAuthorizeToken(server.token());
});

after(() => server?.stop());

/** A FormData of `fields` in their order; a File or Blob value is a file part. */
function form(fields) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  return data;
}

// The four calls of the service, as multipart unless `config` says otherwise.
const uploadMedia = (fields, config = MULTIPART) => PrivateMessageService.uploadMedia(form(fields), config);
const uploadChunk = (fields, config = MULTIPART) => PrivateMessageService.uploadMediaInChunks(form(fields), config);
const uploadThumbnail = (fields, config = MULTIPART) => PrivateMessageService.uploadThumbnail(form(fields), config);
const done = (fields, config = MULTIPART) => PrivateMessageService.chunkUploadDone(form(fields), config);

/** Chunk `index` of `bytes`, as a file part. */
const chunkOf = (bytes, index, name) => new File([bytes.subarray(index * CHUNK, (index + 1) * CHUNK)], name ?? 'blob');

/** Uploads all of `bytes` in chunks, in series, as the documents ask; returns what done has to send. */
async function uploadInChunks(bytes, filename) {
  const totalparts = Math.ceil(bytes.length / CHUNK);
  let uuid;
  for (let partindex = 0; partindex < totalparts; partindex++) {
    const known = uuid ? { uuid } : {};
    const reply = await uploadChunk({ partindex, totalparts, ...known, file: chunkOf(bytes, partindex, filename) });
    assert.equal(reply.success, true);
    uuid ??= reply.file_uuid;
    assert.equal(reply.file_uuid, uuid, 'every chunk answers the uuid of the first');
  }
  return { uuid, filename, totalparts };
}

/** What the service rejects with: the vendor's own pages hand it to their formatters. */
const rejected = (promise) => promise.then(() => assert.fail('was not refused'), (error) => error);

test('uploadMedia answers the File at once', TIMEOUT, async () => {
  const bytes = png(60);
  const file = await uploadMedia({ file: new File([bytes], 'dots.png', { type: 'image/png' }) });
  await expectFile(file, bytes, { filename: 'dots.png', mimetype: 'image/png' });
});

test('a done after uploadMedia names the file and changes no byte', TIMEOUT, async () => {
  const bytes = noise(1000, 50);
  const { file_uuid: uuid } = await uploadMedia({ file: new Blob([bytes]) });
  const file = await done({ uuid, filename: 'named.bin', totalparts: 1 });
  await expectFile(file, bytes, { uuid, filename: 'named.bin' });
});

test('chunks and done make one File, however often done is repeated', TIMEOUT, async () => {
  const bytes = mp4(CHUNK * 3);
  const finished = await uploadInChunks(bytes, 'clip.mp4');
  const file = await done(finished);
  await expectFile(file, bytes, { uuid: finished.uuid, filename: 'clip.mp4', mimetype: 'video/mp4' });

  const again = await Promise.all([done(finished), done(finished), done(finished)]);
  for (const repeated of again) await expectSameFile(repeated, file, bytes);
});

test('done works as JSON, which is what the service makes of a form without a Content-Type', TIMEOUT, async () => {
  const bytes = noise(CHUNK * 2, 51);
  const finished = await uploadInChunks(bytes, 'json.bin');
  const file = await done(finished, {});
  await expectFile(file, bytes, { uuid: finished.uuid, filename: 'json.bin' });
});

test("the documents' older names work through the same service", TIMEOUT, async () => {
  const bytes = noise(CHUNK + 1, 52);
  const total = { qqtotalparts: 2, qqtotalfilesize: bytes.length };
  const first = { qqpartindex: 0, qqpartbyteoffset: 0, ...total, qqfile: chunkOf(bytes, 0, 'blob') };
  const { file_uuid: qquuid } = await uploadChunk(first);
  const last = { qqpartindex: 1, qqpartbyteoffset: CHUNK, ...total, qquuid, qqfile: chunkOf(bytes, 1, 'blob') };
  await uploadChunk(last);
  const file = await done({ qquuid, qqfilename: 'old.bin' });
  await expectFile(file, bytes, { uuid: qquuid, filename: 'old.bin' });
});

test('uploadThumbnail gives its parent a thumbnail', TIMEOUT, async () => {
  const bytes = mp4(10);
  const { file_uuid: parentuuid } = await uploadMedia({ file: new File([bytes], 'clip.mp4', { type: 'video/mp4' }) });
  const picture = png(40);
  const reply = await uploadThumbnail({ file: new File([picture], 'clip.png', { type: 'image/png' }), parentuuid });
  await expectThumbnail(reply, parentuuid, picture);

  const file = await done({ uuid: parentuuid, filename: 'clip.mp4', totalparts: 1 });
  await expectFile(file, bytes, { uuid: parentuuid, filename: 'clip.mp4' });
  assert.match((await download(file.thumbnail)).type, /^image\//);
});

test("a token with the scheme that the client's constructor sends is accepted", TIMEOUT, async () => {
  const client = new ApiClient({ baseURL: server.url, accessToken: server.token() });
  const bytes = noise(20, 53);
  const upload = form({ file: new File([bytes], 'scheme.bin') });
  const { data } = await client.post('/api/v2/pm/upload/', upload, MULTIPART);
  await expectFile(data, bytes, { filename: 'scheme.bin' });
});

test('`haversack token` prints a token that works', TIMEOUT, async () => {
  const token = await server.printedToken('--user-id', '7', '--ttl', '1h');
  const bytes = noise(20, 54);
  const headers = { ...MULTIPART.headers, Authorization: `Bearer ${token}` };
  const file = await uploadMedia({ file: new File([bytes], 'seven.bin') }, { headers });
  await expectFile(file, bytes, { filename: 'seven.bin' });

  const statusFor = async (bearer) => {
    const link = `${server.uploads}${file.uuid}/file/`;
    return (await fetch(link, { headers: { Authorization: `Bearer ${bearer}` } })).status;
  };
  assert.equal(await statusFor(server.token(7)), 200, 'the file belongs to user 7');
  assert.equal(await statusFor(server.token(8)), 404);
});

test('a form that became JSON is refused with a hint at the missing Content-Type', TIMEOUT, async () => {
  const error = await rejected(uploadMedia({ file: new Blob([noise(10)]) }, {}));
  assert.equal(error.response.status, 415);
  assert.match(expectError(error.response.data), /multipart\/form-data/);
});

test('a done with a chunk missing says which, and keeps the upload', TIMEOUT, async () => {
  const bytes = noise(CHUNK * 2, 55);
  const { file_uuid: uuid } = await uploadChunk({ partindex: 0, totalparts: 2, file: chunkOf(bytes, 0) });
  const finished = { uuid, filename: 'late.bin', totalparts: 2 };

  const error = await rejected(done(finished));
  assert.equal(error.response.status, 400);
  assert.deepEqual(error.response.data.missing, [1]);
  assert.match(expectError(error.response.data), /1/);

  await uploadChunk({ partindex: 1, totalparts: 2, uuid, file: chunkOf(bytes, 1) });
  await expectFile(await done(finished), bytes, { uuid, filename: 'late.bin' });
});

test("a file that is too large is a fault of the file to the vendor's formatters", TIMEOUT, async () => {
  const error = await rejected(uploadMedia({ file: new File([noise((2 << 20) + 1)], 'huge.bin') }));
  assert.equal(error.response?.status, 413, error.message);
  const message = expectError(error.response.data, { field: 'file' });
  assert.equal(formatHttpError(error).fileError.error, message);
  assert.ok(formatHttpErrorCode(error).fileError.error);
});

test('a later chunk without a uuid is refused by the name of that field', TIMEOUT, async () => {
  const error = await rejected(uploadChunk({ partindex: 1, totalparts: 2, file: new Blob([noise(9)]) }));
  assert.equal(error.response.status, 400);
  expectError(error.response.data, { field: 'uuid' });
});

test('a missing token is a 401 that says so', TIMEOUT, async () => {
  const headers = { ...MULTIPART.headers, Authorization: null };
  const error = await rejected(uploadMedia({ file: new Blob([noise(9)]) }, { headers }));
  assert.equal(error.response.status, 401);
  assert.ok(error.response.headers['www-authenticate']);
  expectError(error.response.data);
});
