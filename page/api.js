// Sends requests to the server of this page. Knows the format of its error replies; knows nothing about uploads.
import { session } from './session.js';

const UPLOADS = new URL('api/v2/pm/upload/', document.baseURI);
/** A connection that moves no bytes for this long is aborted. */
const STALL_MS = 60_000;

/** Statuses of a proxy that can't reach the server, and 0 if nothing answers. */
const AWAY = [0, 502, 504];

/** Why a request failed. `away` means that the server could not be reached. */
export class Refusal extends Error {
  constructor(status, body, retryAfter) {
    const away = AWAY.includes(status);
    super(away ? 'No connection to the server.' : (body?.error ?? `The server answered ${status}.`));
    this.status = status;
    this.away = away;
    this.code = body?.errors?.[0]?.code ?? body?.errors?.[0]?.messages?.[0]?.code ?? null;
    this.final = body?.preventRetry === true;
    this.reset = body?.reset === true;
    this.retryAfter = Number(retryAfter) || 0; // seconds
  }
}

/**
 * Sends a request to `path` below the uploads, with `fields` as a form. Calls `onSent` with the number of bytes of the
 * body sent so far. Returns the JSON of the reply, or throws a Refusal, or the reason of `signal` if that aborts.
 */
export function call(method, path, { fields, onSent, signal } = {}) {
  const { token } = session;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch doesn't report how much of a body has been sent
    let timer;
    const restartTimer = () => {
      clearTimeout(timer);
      timer = setTimeout(() => request.abort(), STALL_MS);
    };
    const abort = () => request.abort();
    request.onloadend = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      const body = request.response;
      if (request.status >= 200 && request.status < 300 && body) return resolve(body);
      if (signal?.aborted) return reject(signal.reason);
      const { status } = request;
      reject(refused(token, status, body, status && request.getResponseHeader('Retry-After')));
    };
    request.upload.onprogress = ({ loaded }) => {
      restartTimer();
      onSent?.(loaded);
    };
    request.onprogress = restartTimer;
    if (signal?.aborted) return reject(signal.reason);
    signal?.addEventListener('abort', abort);
    request.open(method, new URL(path, UPLOADS));
    request.responseType = 'json';
    request.setRequestHeader('Authorization', `Bearer ${token}`);
    restartTimer();
    request.send(fields ? asForm(fields) : null);
  });
}

/**
 * Makes the browser send a DELETE of `path` once the page is closed, because a busy browser may not let the page send
 * it then. Returns a function that cancels this. Does nothing if the browser has no `fetchLater`, or its quota is used
 * up.
 */
export function removeWhenGone(path) {
  const cancel = new AbortController();
  try {
    globalThis.fetchLater?.(new URL(path, UPLOADS), { ...deletion(session.token), signal: cancel.signal });
  } catch {
    // The page tries to send it itself.
  }
  return () => cancel.abort();
}

/** Sends a DELETE of `path`, even if the page is closed before the reply arrives. Throws a Refusal. */
export async function remove(path) {
  const { token } = session;
  const options = { ...deletion(token), keepalive: true, signal: AbortSignal.timeout(STALL_MS) };
  const response = await fetch(new URL(path, UPLOADS), options).catch(() => null);
  const body = await response?.json().catch(() => null);
  if (response?.ok) return body;
  throw refused(token, response?.status ?? 0, body, response?.headers.get('Retry-After'));
}

const deletion = (token) => ({ method: 'DELETE', headers: { Authorization: `Bearer ${token}` } });

function refused(token, ...reply) {
  const refusal = new Refusal(...reply);
  if (refusal.status === 401) session.refuse(token, refusal);
  return refusal;
}

function asForm(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return form;
}
