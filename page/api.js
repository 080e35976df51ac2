// Requests to the server this page came from. Knows the one shape of its refusals; knows nothing of uploads.
import { session } from './session.js';

const UPLOADS = new URL('api/v2/pm/upload/', document.baseURI);
/** A connection that moves nothing for so long is given up. */
const STALL_MS = 60_000;

/** Why the server did not do it: `status` 0 means that it could not be reached. */
export class Refusal extends Error {
  constructor(status, body, retryAfter) {
    super(body?.error ?? (status ? `The server answered ${status}.` : 'No connection to the server.'));
    this.status = status;
    this.code = body?.errors?.[0]?.code ?? body?.errors?.[0]?.messages?.[0]?.code ?? null;
    this.final = body?.preventRetry === true;
    this.reset = body?.reset === true;
    this.retryAfter = Number(retryAfter) || 0; // seconds
  }
}

/**
 * One request, to `path` below the uploads. `fields` are sent as a form, `onSent(bytes)` hears how far its body is.
 * Answers the reply's JSON or throws a Refusal; when `signal` aborts, it throws that signal's reason.
 */
export function call(method, path, { fields, onSent, signal } = {}) {
  const { token } = session;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far a body is
    let stalled;
    const moving = () => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), STALL_MS);
    };
    const abort = () => request.abort();
    request.onloadend = () => {
      clearTimeout(stalled);
      signal?.removeEventListener('abort', abort);
      const body = request.response;
      if (request.status >= 200 && request.status < 300 && body) return resolve(body);
      if (signal?.aborted) return reject(signal.reason);
      const { status } = request;
      reject(refused(token, status, body, status && request.getResponseHeader('Retry-After')));
    };
    request.upload.onprogress = ({ loaded }) => {
      moving();
      onSent?.(loaded);
    };
    request.onprogress = moving;
    if (signal?.aborted) return reject(signal.reason);
    signal?.addEventListener('abort', abort);
    request.open(method, new URL(path, UPLOADS));
    request.responseType = 'json';
    request.setRequestHeader('Authorization', `Bearer ${token}`);
    moving();
    request.send(fields ? asForm(fields) : null);
  });
}

/**
 * Has the browser send a DELETE of `path` once the page has gone: a busy one may not let the page do that. Answers what
 * takes this back. Does nothing where a browser has no `fetchLater`, or is told of too much.
 */
export function removeWhenGone(path) {
  const taken = new AbortController();
  try {
    globalThis.fetchLater?.(new URL(path, UPLOADS), { ...deletion(session.token), signal: taken.signal });
  } catch {
    // Then the page alone sees to it.
  }
  return () => taken.abort();
}

/** A DELETE of `path`, which is carried out even if the page goes before it is answered. Throws a Refusal. */
export async function remove(path) {
  const { token } = session;
  const options = { ...deletion(token), keepalive: true, signal: AbortSignal.timeout(STALL_MS) };
  const response = await fetch(new URL(path, UPLOADS), options).catch(() => null);
  const body = await response?.json().catch(() => null);
  if (response?.ok) return body;
  throw refused(token, response?.status ?? 0, body, response?.headers.get('Retry-After'));
}

const deletion = (token) => ({ method: 'DELETE', headers: { Authorization: `Bearer ${token}` } });

function refused(token, ...answer) {
  const refusal = new Refusal(...answer);
  if (refusal.status === 401) session.refuse(token, refusal);
  return refusal;
}

function asForm(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return form;
}
