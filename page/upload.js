// One upload, from its first chunk to its File: sends what the server lacks, in series, and decides what a refusal
// means. Knows no element of the page and no other upload.
import { Refusal, call, remove } from './api.js';
import { chunkSizeFor, chunkSizeOf, countChunks, shrinkChunks } from './chunks.js';
import { Meter } from './meter.js';

const MOST_FAILURES = 8; // in a row, of a server that answers
const MOST_RESTARTS = 3;
const LONGEST_WAIT_MS = 30_000;
/** The file itself is refused; sending it again can't help. */
const HOPELESS = [403, 413, 415];

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
 * States: `waiting` for its turn, `checking` what the server has, `sending`, `pausing` (the chunk that is under way
 * still arrives), `finishing`, `retrying` (at `retryAt`), `paused` by the user, `held` until there is a new token,
 * `needs-file`, `ready` (begun elsewhere, all there, only to be finished), `failed` (with a `remedy`: `retry`, `again`
 * or null), `withdrawn` (cancelled, which can still be undone), and at last `finished` (with the `result`) or
 * `cancelled`.
 * Says `change` when anything to show is different, `record` when what should be remembered is, `bytes` (detail: how
 * many) when bytes went out, `reachable` when the server could not be reached and now can.
 */
export class Upload extends EventTarget {
  state = 'waiting';
  message = '';
  remedy = null;
  retryAt = 0;
  offline = false; // whether the server could not be reached at the last attempt
  result = null;
  kept = null; // the file, once it is remembered itself
  sent = 0; // bytes on record at the server
  inFlight = 0;
  meter = new Meter();
  #have = new Set(); // indexes on record at the server
  #complete = false; // all of them are
  #begun; // whether the server may know of it
  #stored = 0; // chunks that this page brought there
  #transferred = 0; // bytes that went out, repeated ones too
  #restarts = 0;
  #stop = null;
  #wake = null;
  #before = null; // what it was when it was withdrawn

  constructor({ uuid = newUuid(), id = uuid, begun = false, sent = 0, failure, withdrawn = false, ...known }) {
    super();
    Object.assign(this, { id, uuid, sent, lastModified: null, chunkSize: null, file: null, type: '' }, known);
    this.#begun = begun;
    if (withdrawn) this.state = 'withdrawn';
    else if (failure) Object.assign(this, { state: 'failed', ...failure });
    else if (this.paused) this.state = 'paused';
    else if (this.foreign) this.state = 'needs-file';
  }

  /** For a file that was just chosen. */
  static of(file, added) {
    const { name, size, lastModified, type } = file;
    return new Upload({ name, size, lastModified, type, file, added });
  }

  /** What to remember; `begun` is not: one that is remembered may have begun. */
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

  /** The server refuses the file itself: there is nothing to resume, and nothing to lose. */
  get hopeless() {
    return this.state === 'failed' && this.remedy === null;
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
        if (this.paused) return this.#become('paused');
        if (wait) await this.#rest(wait, error, signal);
      }
    }
  }

  /** Finds out how far it is, without going on. */
  async peek() {
    await this.#look().catch(() => {}); // only to be shown
    if (this.#complete && this.state === 'needs-file') this.#become('ready');
    this.#changed();
  }

  /** Stops after the chunk that is under way, so that none of it has to be sent again; at once if there is none. */
  pause() {
    this.paused = true;
    if (this.state === 'sending') this.#become('pausing');
    else this.#halt('paused');
    this.#changed('record');
  }

  /** Goes on after a pause, a failure or a wait. */
  resume() {
    if (this.#wake) return this.#wake();
    this.paused = false;
    this.#become(this.state === 'pausing' ? 'sending' : 'waiting');
    this.#changed('record');
  }

  /** Forgets what the server has, and begins anew under another uuid. */
  again() {
    remove(`${this.uuid}/`).catch(() => {}); // it would expire by itself
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

  /** Stops, and is no longer to be shown: soon it is cancelled, or put back. */
  withdraw() {
    const { state, message } = this;
    this.#before = { state, message };
    this.#halt('withdrawn');
    this.#changed('record');
  }

  /** Is again what it was when it was withdrawn; what was under way goes on. */
  putBack() {
    const { state, message } = this.#before;
    const still = ['paused', 'failed', 'needs-file', 'ready'].includes(state);
    this.#become(state === 'pausing' ? 'paused' : still ? state : 'waiting', still ? message : '');
    this.#changed('record');
  }

  /** Takes it back, at the server too. */
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
    if (this.#begun) await this.#look(signal);
    if (!this.#complete) await this.#sendMissing(signal);
    if (!['checking', 'sending'].includes(this.state)) return;
    this.#become('finishing');
    this.result = await call('POST', '?done', { fields: { uuid: this.uuid, filename: this.name }, signal });
    this.#become('finished');
  }

  /** Asks what the server has. */
  async #look(signal) {
    const status = await call('GET', `${this.uuid}/`, { signal }).catch((error) => {
      if (error.status !== 404) throw error;
      return { received: 0, parts: [] }; // no chunk ever arrived
    });
    this.sent = status.received;
    this.#have.clear();
    for (const [first, last] of status.parts ?? []) {
      for (let index = first; index <= last; index++) this.#have.add(index);
    }
    this.#complete = status.finished || this.#have.size === status.totalparts;
    if (!this.#complete && status.totalparts) this.chunkSize ??= chunkSizeOf(status);
  }

  /** Sends what the server lacks; ends early when the file is needed first, or the user pauses. */
  async #sendMissing(signal) {
    if (!this.file) return this.#become('needs-file');
    this.chunkSize ??= chunkSizeFor(this.size);
    const total = countChunks(this.size, this.chunkSize);
    for (let index = 0; index < total; index++) {
      if (this.#have.has(index)) continue;
      const offset = index * this.chunkSize;
      // Read before it is sent: a file that changed on disk would look like a broken connection.
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
    this.#have.add(index);
    this.#stored += 1;
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

  /** Lets the speed fade while nothing moves. */
  measure() {
    this.meter.sample(this.#transferred);
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
    if (error.code === 'chunk_too_large' && !this.sent && shrinkChunks(this.chunkSize)) {
      this.#renew();
      return 0;
    }
    if (error.reset && this.#restarts++ < MOST_RESTARTS) {
      if (['uneven_chunk', 'expired'].includes(error.code)) this.#renew(); // after others the missing ones are enough
      return error.retryAfter * 1000;
    }
    if (error.final) return this.#fail(error.message, remedyFor(error));
    if (error.status && failures > MOST_FAILURES) return this.#fail(error.message, 'retry');
    const backoff = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
    return Math.max(backoff, error.retryAfter * 1000);
  }

  #rest(ms, error, signal) {
    this.retryAt = Date.now() + ms;
    this.offline = error.status === 0;
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
    this.#have.clear();
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

  #changed(what = 'change', detail = null) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}

/** What the user can do about a refusal that the same request would meet again. */
function remedyFor({ status, code }) {
  if (code === 'quota_exceeded') return 'retry'; // once there is room
  return HOPELESS.includes(status) ? null : 'again';
}
