// One upload, from its first chunk to its File: sends what the server lacks, in series, and decides what a refusal
// means. Knows no element of the page and no other upload.
import { Refusal, call } from './api.js';
import { Meter } from './format.js';

const SMALLEST_CHUNK = 64 * 1024;
const MOST_FAILURES = 8; // in a row, of a server that answers
const MOST_RESTARTS = 3;
const LONGEST_WAIT_MS = 30_000;
/** The file itself is refused; sending it again can't help. */
const HOPELESS = [403, 413, 415];

/** A server may take less at once than this; the first refusal makes it smaller for all that follow. */
let chunkSize = 5 * 1024 * 1024;

/** A version 4 uuid; `randomUUID` is there only on https and localhost. */
export function newUuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * States: `waiting` for its turn, `checking` what the server has, `sending`, `finishing`, `retrying` (at `retryAt`),
 * `paused` by the user, `held` until there is a new token, `needs-file`, `failed` (with a `remedy`: `retry`, `again` or
 * null), `cancelling`, and at last `finished` (with the `result`) or `cancelled`.
 * Says `change` when anything to show is different, `record` when what should be remembered is.
 */
export class Upload extends EventTarget {
  state = 'waiting';
  message = '';
  remedy = null;
  retryAt = 0;
  result = null;
  kept = null; // the file, once it is remembered itself
  sent = 0; // bytes on record at the server
  inFlight = 0;
  transferred = 0; // bytes that went out, repeated ones too
  meter = new Meter();
  #have = new Set(); // indexes on record at the server
  #begun; // whether the server may know of it
  #stored = 0; // chunks that this page brought there
  #restarts = 0;
  #stop = null;
  #wake = null;

  constructor({ uuid = newUuid(), id = uuid, begun = false, sent = 0, ...known }) {
    super();
    Object.assign(this, { id, uuid, sent, lastModified: null, chunkSize: null, file: null, type: '' }, known);
    this.#begun = begun;
    if (this.paused) this.state = 'paused';
    else if (!this.file) this.state = 'needs-file';
  }

  /** For a file that was just chosen. */
  static of(file, added) {
    const { name, size, lastModified, type } = file;
    return new Upload({ name, size, lastModified, type, file, added, chunkSize });
  }

  /** What to remember; `begun` is not: one that is remembered may have begun. */
  get record() {
    const { id, uuid, name, size, lastModified, type, chunkSize: own, added, paused = false } = this;
    return { id, uuid, name, size, lastModified, type, chunkSize: own, added, paused, begun: true };
  }

  get progress() {
    return this.size ? Math.min(1, (this.sent + this.inFlight) / this.size) : Number(this.state === 'finished');
  }

  get remaining() {
    return Math.max(0, this.size - this.sent - this.inFlight);
  }

  /** Whether `file` is the one that was begun, as far as can be seen from outside. */
  fits(file) {
    return file.size === this.size && (this.lastModified === null || file.lastModified === this.lastModified);
  }

  /** Goes as far as it gets. Never throws: `state` tells how it ended. */
  async run() {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    let failures = 0;
    this.meter.reset();
    while (!signal.aborted) {
      const before = this.#stored;
      try {
        return await this.#attempt(signal);
      } catch (error) {
        this.inFlight = 0;
        if (signal.aborted) return;
        failures = this.#stored > before ? 1 : failures + 1;
        const wait = this.#judge(error, failures);
        if (wait === null) return;
        if (wait) await this.#rest(wait, error, signal);
      }
    }
  }

  /** Finds out how far it is, without going on. */
  async peek() {
    await this.#look().catch(() => {}); // only to be shown
    this.#changed();
  }

  pause() {
    this.paused = true;
    this.#halt('paused');
    this.#changed('record');
  }

  /** Goes on after a pause, a failure or a wait. */
  resume() {
    if (this.#wake) return this.#wake();
    this.paused = false;
    this.#become(this.file ? 'waiting' : 'needs-file');
    this.#changed('record');
  }

  /** Forgets what the server has, and begins anew under another uuid. */
  again() {
    call('DELETE', `${this.uuid}/`).catch(() => {}); // it would expire by itself
    this.#restarts = 0;
    this.#renew();
    this.resume();
  }

  /** Goes on with `file`, which `fits`. */
  continueWith(file) {
    const { lastModified, type, name } = file;
    Object.assign(this, { file, lastModified, type, name: this.unnamed ? name : this.name, unnamed: false });
    this.resume();
  }

  /** Takes it back, at the server too. */
  async cancel() {
    this.#halt('cancelling');
    try {
      if (this.#begun) await call('DELETE', `${this.uuid}/`);
    } catch (error) {
      if (![404, 410].includes(error.status)) return this.#fail(`Not cancelled: ${error.message}`, 'retry');
    }
    this.#become('cancelled');
  }

  async #attempt(signal) {
    this.#become('checking');
    if (this.#begun) await this.#look(signal);
    this.chunkSize ??= chunkSize;
    const total = Math.max(1, Math.ceil(this.size / this.chunkSize));
    for (let index = 0; index < total; index++) {
      if (!this.#have.has(index)) await this.#send(index, total, signal);
    }
    this.#become('finishing');
    this.result = await call('POST', '?done', { fields: { uuid: this.uuid, filename: this.name }, signal });
    this.#become('finished');
  }

  /** Asks what the server has. */
  async #look(signal) {
    this.#have.clear();
    let status = { received: 0, parts: [] };
    try {
      status = await call('GET', `${this.uuid}/`, { signal });
    } catch (error) {
      if (error.status !== 404) throw error; // 404: no chunk ever arrived
    }
    this.chunkSize ??= status.finished ? chunkSize : chunkSizeOf(status);
    const runs = status.finished ? [[0, Math.ceil(this.size / this.chunkSize)]] : status.parts;
    for (const [first, last] of runs) for (let index = first; index <= last; index++) this.#have.add(index);
    this.sent = status.received;
  }

  async #send(index, total, signal) {
    const offset = index * this.chunkSize;
    // Read before it is sent: a file that changed on disk would look like a broken connection.
    const bytes = await this.file.slice(offset, offset + this.chunkSize).arrayBuffer();
    if (signal.aborted) throw signal.reason;
    this.#begun = true;
    if (this.state !== 'sending') this.#become('sending');
    const fields = {
      uuid: this.uuid,
      partindex: index,
      totalparts: total,
      partbyteoffset: offset,
      totalfilesize: this.size,
      filename: this.name,
      ...(this.type && { filetype: this.type }),
      file: new Blob([bytes]),
    };
    await call('POST', '', { fields, signal, onSent: (sent) => this.#sending(Math.min(sent, bytes.byteLength)) });
    this.#sending(bytes.byteLength);
    this.inFlight = 0;
    this.sent += bytes.byteLength;
    this.#have.add(index);
    this.#stored += 1;
    this.#changed();
  }

  #sending(bytes) {
    this.transferred += Math.max(0, bytes - this.inFlight);
    this.inFlight = bytes;
    this.meter.sample(this.transferred);
    this.#changed();
  }

  /** How many ms to wait before the next attempt, or null if there is none. */
  #judge(error, failures) {
    if (error instanceof DOMException) {
      this.file = null; // it can't be read: moved, changed or deleted since it was chosen
      this.#become('needs-file', 'The file was changed or moved. Choose it again to continue.');
      return null;
    }
    if (!(error instanceof Refusal)) {
      console.error(error);
      return this.#fail('Something in this page went wrong.', 'retry');
    }
    if (error.status === 401) {
      this.#become('held', error.message);
      return null;
    }
    if (error.code === 'chunk_too_large' && !this.sent && this.chunkSize > SMALLEST_CHUNK) {
      chunkSize = Math.min(chunkSize, Math.max(SMALLEST_CHUNK, this.chunkSize / 4));
      this.#renew();
      return 0;
    }
    if (error.reset && this.#restarts++ < MOST_RESTARTS) {
      if (['uneven_chunk', 'expired'].includes(error.code)) this.#renew(); // after others the missing ones are enough
      return error.retryAfter * 1000;
    }
    if (error.final) return this.#fail(error.message, HOPELESS.includes(error.status) ? null : 'again');
    if (error.status && failures > MOST_FAILURES) return this.#fail(error.message, 'retry');
    const backoff = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
    return Math.max(backoff, error.retryAfter * 1000);
  }

  #rest(ms, error, signal) {
    this.retryAt = Date.now() + ms;
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
    this.#have.clear();
    this.chunkSize = chunkSize;
    this.sent = 0;
    this.#changed('record');
  }

  #fail(message, remedy) {
    this.remedy = remedy;
    this.#become('failed', message);
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

  #changed(what = 'change') {
    this.dispatchEvent(new Event(what));
  }
}

/** The size into which another program cut an upload evenly; throws if that can't be told. */
function chunkSizeOf({ totalparts, totalfilesize, received, parts }) {
  if (!totalparts) return null;
  const count = parts.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const hasLast = parts.at(-1)?.[1] === totalparts - 1;
  if (totalparts === 1) return Math.max(1, totalfilesize);
  if (count === totalparts) return Math.ceil(totalfilesize / totalparts);
  const size = hasLast ? (totalfilesize - received) / (totalparts - count) : received / count;
  if (Number.isInteger(size) && Math.ceil(totalfilesize / size) === totalparts) return size;
  throw new Refusal(409, {
    error: 'Another program began this upload in a way that can’t be continued here.',
    preventRetry: true,
  });
}
