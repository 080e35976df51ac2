// Shared by the tests of tus clients: requests as a user, and assertions about finished uploads.
import assert from 'node:assert/strict';
import { expectBytes } from './expect.mjs';

/** Sends a request to an upload's address, or to the address that creates uploads, as user `userId`. */
export function tus(server, method, url = server.tus, headers = {}, { body, userId = 1 } = {}) {
  const common = { Authorization: `Bearer ${server.token(userId)}`, 'Tus-Resumable': '1.0.0' };
  return fetch(url, { method, headers: { ...common, ...headers }, body, redirect: 'manual' });
}

/** Asserts that the upload at this address is a finished File with these bytes. Returns the File. */
export async function expectUploaded(server, url, sent, { filename, mimetype } = {}) {
  const status = await tus(server, 'HEAD', url);
  assert.equal(status.status, 200, `HEAD ${url}`);
  assert.equal(status.headers.get('upload-offset'), String(sent.length));
  assert.equal(status.headers.get('upload-length'), String(sent.length));
  assert.equal(status.headers.get('file-state'), 'finished');
  const uuid = status.headers.get('file-uuid');
  await expectBytes(status.headers.get('file-url'), sent);
  const redirect = await tus(server, 'GET', url);
  assert.equal(redirect.status, 302);
  await expectBytes(redirect.headers.get('location'), sent);
  const response = await fetch(`${server.uploads}${uuid}/file/`, {
    headers: { Authorization: `Bearer ${server.token()}` },
  });
  const file = await response.json();
  assert.equal(file.filesize, sent.length);
  if (filename !== undefined) assert.equal(file.filename, filename);
  if (mimetype !== undefined) assert.equal(file.mimetype, mimetype);
  return file;
}
