// Assertions about replies: the fields of a File, and the bytes behind its link.
// Links are fetched without any headers, as <img>, <video> and the clients themselves fetch them.
import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const ABSOLUTE = /^http:\/\/127\.0\.0\.1:\d+\//;

/** Fetches a link without headers and returns `{bytes, type}`. */
export async function download(link) {
  assert.match(link, ABSOLUTE, 'links are absolute: the page lives on another origin');
  const response = await fetch(link);
  assert.equal(response.status, 200, `GET ${link}`);
  return { bytes: Buffer.from(await response.arrayBuffer()), type: response.headers.get('content-type') };
}

/** Asserts that `link` serves the bytes `sent`. */
export async function expectBytes(link, sent) {
  const { bytes } = await download(link);
  assert.equal(bytes.length, sent.length, 'as many bytes as went in');
  assert.ok(bytes.equals(sent), 'the same bytes as went in');
}

/** Asserts that `file` is a complete File reply for `sent`. Compares `uuid`, `filename` and `mimetype` if given. */
export async function expectFile(file, sent, { uuid, filename, mimetype } = {}) {
  assert.equal(file.success, true);
  assert.match(file.uuid, UUID);
  assert.equal(file.file_uuid, file.uuid);
  if (uuid !== undefined) assert.equal(file.uuid, uuid);
  if (filename !== undefined) assert.equal(file.filename, filename);
  assert.equal(file.filesize, sent.length);
  assert.equal(typeof file.mimetype, 'string', 'mimetype is never null');
  if (mimetype !== undefined) assert.equal(file.mimetype, mimetype);
  assert.ok(file.duration === null || Number.isInteger(file.duration), 'duration is whole seconds or null');
  assert.ok(file.thumbnail === null || ABSOLUTE.test(file.thumbnail), 'thumbnail is an absolute link or null');
  await expectBytes(file.file_url, sent);
  await expectBytes(file.url, sent);
}

/** Asserts that `again` is the same File as `first`. Each link has a new signature, so their contents are compared. */
export async function expectSameFile(again, first, sent) {
  for (const name of ['success', 'uuid', 'file_uuid', 'filename', 'filesize', 'mimetype', 'duration']) {
    assert.deepEqual(again[name], first[name], name);
  }
  await expectBytes(again.file_url, sent);
}

/** Asserts that `reply` is a thumbnail of `parent` whose link shows a picture made by the server from `sent`. */
export async function expectThumbnail(reply, parent, sent) {
  assert.equal(reply.success, true);
  assert.match(reply.file_uuid, UUID);
  assert.equal(reply.parent_file_uuid, parent);
  // On a busy machine, the picture may be made after the reply. Until then, the link shows what was sent.
  const deadline = Date.now() + 10_000;
  let shown = await download(reply.file_url);
  while (shown.bytes.equals(sent) && Date.now() < deadline) {
    await setTimeout(50);
    shown = await download(reply.file_url);
  }
  assert.match(shown.type, /^image\/(jpeg|webp)$/);
  assert.ok(!shown.bytes.equals(sent), 'made anew: nothing that was sent gets to the receiver');
}

/** Asserts that `body` has the form of all errors, with a message that is a sentence. Returns the message. */
export function expectError(body, { field } = {}) {
  assert.ok(Array.isArray(body.errors), '`errors` is an array');
  assert.equal(body.success, false);
  const [entry] = body.errors;
  const { code, message } = entry.field === undefined ? entry : entry.messages[0];
  assert.equal(entry.field, field);
  assert.equal(typeof code, 'string');
  assert.equal(body.error, message);
  assert.match(message, /\S/);
  return message;
}
