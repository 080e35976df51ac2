// A single upload, from its first chunk to its File: sends missing chunks one after the other, and decides what to do
// after a refusal. Knows no element of the page and no other upload.
import { Refusal, call, remove } from './api.js';
import { chunkSizeFor, chunkSizeOf, countChunks, shrinkChunks } from './chunks.js';
import { Meter } from './meter.js';

const MAX_FAILURES = 8; // in a row, while the server answers
const MAX_RESTARTS = 3;
const MAX_WAIT_MS = 30_000;
/** Statuses with which the server refuses the file itself, so that sending it again can't help. */
const REJECTED_STATUSES = [403, 413, 415];

/** Returns a version 4 uuid. Browsers have `randomUUID` only on https and localhost. */
export function newUuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * States: `waiting` for its turn, `checking` what the server has, `sending`, `pausing` (the current chunk is still
 * being sent), `finishing`, `retrying` (at `retryAt`), `paused` by the user, `held` until there is a new token,
 * `needs-file`, `ready` (another program sent all of it, but didn't finish it), `failed` (with a `remedy`: `retry`,
 * `again` or null), `withdrawn` (cancelled, which can still be undone), and at the end `finished` (with the `result`)
 * or `cancelled`.
 *
 * Dispatches `change` when something that is shown has changed, `record` when something that should be remembered has,
 * `bytes` (detail: how many) when bytes were sent, and `reachable` when the server can be reached again.
 */
export class Upload extends EventTarget {
  state = 'waiting';
  message = '';
  remedy = null;
  retryAt = 0;
  offline = false; // whether the server could not be reached at the last attempt
  result = null;
  kept = null; // the file, once the browser keeps it
  sent = 0; // bytes that the server has on record
  inFlight = 0;
  meter = new Meter();
  #stored = new Set(); // indexes of the chunks that the server has on record
  #complete = false; // whether the server has all chunks
  #begun; // whether the server may know this upload
  #storedHere = 0; // number of chunks that this page has sent successfully
  #transferred = 0; // bytes sent, including repeated ones
  #restarts = 0;
  #stop = null;
  #wake = null;
  #beforeWithdrawal = null; // state and message

  constructor({ uuid = newUuid(), id = uuid, begun = false, sent = 0, failure, withdrawn = false, ...known }) {
    super();
    Object.assign(this, { id, uuid, sent, lastModified: null, chunkSize: null, file: null, type: '' }, known);
    this.#begun = begun;
    if (withdrawn) this.state = 'withdrawn';
    else if (failure) Object.assign(this, { state: 'failed', ...failure });
    else if (this.paused) this.state = 'paused';
    else if (this.foreign) this.state = 'needs-file';
  }

  /** Creates an upload of a file that was just chosen. */
  static of(file, added) {
    const { name, size, lastModified, type } = file;
    return new Upload({ name, size, lastModified, type, file, added });
  }

  /** What to remember. `begun` is always true, because a remembered upload may have begun. */
  get record() {
    const { id, uuid, name, size, lastModified, type, chunkSize, added, paused = false, state } = this;
    const failure = state === 'failed' ? { message: this.message, remedy: this.remedy } : undefined;
    const withdrawn = state === 'withdrawn';
    return { id, uuid, name, size, lastModified, type, chunkSize, added, paused, failure, withdrawn, begun: true };
  }

  get progress() {
    return this.size ? Math.min(1, (this.sent + this.inFlight) / this.size) : Number(this.state === 'finished');
  }

  get remaining() {
    return Math.max(0, this.size - this.sent - this.inFlight);
  }

  /** Whether the server refuses the file itself, so that there is nothing to resume and nothing to lose. */
  get rejected() {
    return this.state === 'failed' && this.remedy === null;
  }

  /** Whether `file` seems to be the file of this upload, judging by its size and date. */
  fits(file) {
    return file.size === this.size && (this.lastModified === null || file.lastModified === this.lastModified);
  }

  /** Uploads as far as possible. Never throws: `state` shows how it ended. */
  async run() {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    let failures = 0;
    this.meter.reset();
    while (!signal.aborted) {
      const before = this.#storedHere;
      try {
        return await this.#attempt(signal);
      } catch (error) {
        this.inFlight = 0;
        if (signal.aborted) return;
        failures = this.#storedHere > before ? 1 : failures + 1;
        const wait = this.#handleError(error, failures);
        if (wait === null) return;
        if (this.paused) return this.#become('paused');
        if (wait) await this.#waitToRetry(wait, error, signal);
      }
    }
  }

  /** Asks the server for the progress, without continuing. */
  async refresh() {
    await this.#loadStatus().catch(() => {}); // only needed to show it
    if (this.#complete && this.state === 'needs-file') this.#become('ready');
    this.#changed();
  }

  /** Stops after the current chunk, so that none of it has to be sent again, or at once if there is none. */
  pause() {
    this.paused = true;
    if (this.state === 'sending') this.#become('pausing');
    else this.#halt('paused');
    this.#changed('record');
  }

  /** Continues after a pause, a failure or a wait. */
  resume() {
    if (this.#wake) return this.#wake();
    this.paused = false;
    this.#become(this.state === 'pausing' ? 'sending' : 'waiting');
    this.#changed('record');
  }

  /** Deletes what the server has, and starts again with another uuid. */
  again() {
    remove(`${this.uuid}/`).catch(() => {}); // if this fails, the upload expires by itself
    this.#restarts = 0;
    this.#renew();
    this.resume();
  }

  /** Continues with `file`, which `fits`. */
  continueWith(file) {
    const { lastModified, type, name } = file;
    Object.assign(this, { file, lastModified, type, name: this.unnamed ? name : this.name, unnamed: false });
    this.resume();
  }

  /** Stops. The upload is no longer shown, and will soon be cancelled or put back. */
  withdraw() {
    const { state, message } = this;
    this.#beforeWithdrawal = { state, message };
    this.#halt('withdrawn');
    this.#changed('record');
  }

  /** Restores the state before the withdrawal. An upload that was active continues. */
  putBack() {
    const { state, message } = this.#beforeWithdrawal;
    const wasIdle = ['paused', 'failed', 'needs-file', 'ready'].includes(state);
    this.#become(state === 'pausing' ? 'paused' : wasIdle ? state : 'waiting', wasIdle ? message : '');
    this.#changed('record');
  }

  /** Cancels the upload, on the server, too. */
  async cancel() {
    this.#halt('withdrawn');
    try {
      if (this.#begun) await remove(`${this.uuid}/`);
    } catch (error) {
      if (![404, 410].includes(error.status)) return this.#fail(`Not cancelled: ${error.message}`, 'retry');
    }
    this.#become('cancelled');
  }

  async #attempt(signal) {
    this.#become('checking');
    if (this.#begun) await this.#loadStatus(signal);
    if (!this.#complete) await this.#sendMissing(signal);
    if (!['checking', 'sending'].includes(this.state)) return;
    this.#become('finishing');
    this.result = await call('POST', '?done', { fields: { uuid: this.uuid, filename: this.name }, signal });
    this.#become('finished');
  }

  /** Asks which chunks the server has. */
  async #loadStatus(signal) {
    const status = await call('GET', `${this.uuid}/`, { signal }).catch((error) => {
      if (error.status !== 404) throw error;
      return { received: 0, parts: [] }; // no chunk has arrived yet
    });
    this.sent = status.received;
    this.#stored.clear();
    for (const [first, last] of status.parts ?? []) {
      for (let index = first; index <= last; index++) this.#stored.add(index);
    }
    this.#complete = status.finished || this.#stored.size === status.totalparts;
    if (!this.#complete && status.totalparts) this.chunkSize ??= chunkSizeOf(status);
  }

  /** Sends the missing chunks. Returns early if the user has to choose the file first, or pauses. */
  async #sendMissing(signal) {
    if (!this.file) return this.#become('needs-file');
    this.chunkSize ??= chunkSizeFor(this.size);
    const total = countChunks(this.size, this.chunkSize);
    for (let index = 0; index < total; index++) {
      if (this.#stored.has(index)) continue;
      const offset = index * this.chunkSize;
      // The chunk is read before it is sent, because a file that changed on disk would look like a broken connection.
      const bytes = await this.file.slice(offset, offset + this.chunkSize).arrayBuffer();
      if (signal.aborted) throw signal.reason;
      if (!this.paused) await this.#send(index, total, bytes, signal);
      if (this.paused) return this.#become('paused');
    }
  }

  async #send(index, total, bytes, signal) {
    this.#begun = true;
    if (this.state !== 'sending') this.#become('sending');
    const fields = {
      uuid: this.uuid,
      partindex: index,
      totalparts: total,
      partbyteoffset: index * this.chunkSize,
      totalfilesize: this.size,
      filename: this.name,
      ...(this.type && { filetype: this.type }),
      file: new Blob([bytes]),
    };
    await call('POST', '', { fields, signal, onSent: (sent) => this.#sending(Math.min(sent, bytes.byteLength)) });
    this.#sending(bytes.byteLength);
    this.inFlight = 0;
    this.sent += bytes.byteLength;
    this.#stored.add(index);
    this.#storedHere += 1;
    if (this.offline) this.#changed('reachable');
    this.offline = false;
    this.#changed();
  }

  #sending(bytes) {
    const more = Math.max(0, bytes - this.inFlight);
    this.inFlight = bytes;
    this.#transferred += more;
    this.measure();
    this.#changed('bytes', more);
    this.#changed();
  }

  /** Updates the speed. */
  measure() {
    this.meter.sample(this.#transferred);
  }

  /** Decides what to do after an error. Returns the wait before the next attempt in ms, or null if there is none. */
  #handleError(error, failures) {
    if (error instanceof DOMException) {
      this.file = null; // it can't be read, because it was moved, changed or deleted since it was chosen
      this.#become('needs-file', 'The file was changed or moved. Choose it again to continue.');
      return null;
    }
    if (!(error instanceof Refusal)) {
      console.error(error);
      return this.#fail('Something went wrong on this page.', 'retry');
    }
    if (error.status === 401) {
      this.#become('held', error.message);
      return null;
    }
    if (error.code === 'chunk_too_large' && !this.sent && shrinkChunks(this.chunkSize)) {
      this.#renew();
      return 0;
    }
    if (error.reset && this.#restarts++ < MAX_RESTARTS) {
      if (['uneven_chunk', 'expired'].includes(error.code)) this.#renew(); // otherwise, only missing chunks are sent
      return error.retryAfter * 1000;
    }
    if (error.final) return this.#fail(error.message, remedyFor(error));
    if (!error.away && failures > MAX_FAILURES) return this.#fail(error.message, 'retry');
    const backoff = Math.min(MAX_WAIT_MS, 1000 * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
    return Math.max(backoff, error.retryAfter * 1000);
  }

  #waitToRetry(ms, error, signal) {
    this.retryAt = Date.now() + ms;
    this.offline = error.away;
    this.#become('retrying', error.message);
    return new Promise((resolve) => {
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(this.#wake, ms);
      signal.addEventListener('abort', this.#wake, { once: true });
    });
  }

  #renew() {
    this.uuid = newUuid();
    this.#begun = false;
    this.#complete = false;
    this.#stored.clear();
    this.chunkSize = chunkSizeFor(this.size);
    this.sent = 0;
    this.#changed('record');
  }

  #fail(message, remedy) {
    this.remedy = remedy;
    this.#become('failed', message);
    this.#changed('record');
    return null;
  }

  #halt(state) {
    this.#become(state);
    this.#stop?.abort();
    this.inFlight = 0;
  }

  #become(state, message = '') {
    Object.assign(this, { state, message });
    this.#changed();
  }

  #changed(event = 'change', detail = null) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }
}

/** Returns what the user can do about a refusal that the same request would get again, or null if nothing helps. */
function remedyFor({ status, code }) {
  if (code === 'quota_exceeded') return 'retry'; // after deleting files
  return REJECTED_STATUSES.includes(status) ? null : 'again';
}
