// All uploads of this tab: runs a few at a time, remembers them in the browser, and adds up their progress. Knows no
// element of the page.
import { claim } from './claims.js';
import { Meter } from './meter.js';
import { session } from './session.js';
import { dropFile, forget, keepFile, recall, recallAll, remember } from './store.js';
import { Upload } from './upload.js';

const MAX_RUNNING = 3;
const ACTIVE = ['waiting', 'checking', 'sending', 'pausing', 'finishing', 'retrying', 'held'];
const STUCK = ['failed', 'needs-file', 'ready'];
const PAUSED = ['paused', 'pausing'];
const isPausable = ({ state }) => ACTIVE.includes(state) && !['pausing', 'finishing'].includes(state);

/**
 * Dispatches `added`, `changed`, `removed` and `finished` (detail: the upload), and `totals` when the totals may have
 * changed.
 */
class Queue extends EventTarget {
  uploads = [];
  #running = new Set();
  #releases = new Map(); // upload -> function that releases the claim to it
  #refused = false; // whether the server refuses the token
  #finished = { bytes: 0, count: 0 }; // uploads finished since none was active
  #transferred = 0;
  #meter = new Meter();
  #interval = null;

  constructor() {
    super();
    session.addEventListener('refused', () => (this.#refused = true));
    session.addEventListener('granted', () => {
      this.#refused = false;
      for (const upload of this.uploads) if (upload.state === 'held') upload.resume();
      this.#runNext();
    });
    addEventListener('online', () => this.#retryOffline());
  }

  /** Adds files that were chosen, dropped or pasted. A file that an unfinished upload needs continues that upload. */
  async add(files) {
    if (!this.#active().length) this.clearDone();
    for (const [at, file] of [...files].entries()) {
      const waiting = this.uploads.find((upload) => !upload.file && upload.name === file.name && upload.fits(file));
      if (waiting) waiting.continueWith(file);
      else await this.#start(Upload.of(file, Date.now() + at / 1000));
    }
  }

  /** Continues the uploads that this browser remembers, each one as soon as no other tab claims it. */
  async restore() {
    for (const { id } of await recallAll(session.user)) {
      claim(id).then(async (release) => {
        const record = await recall(id); // another tab may have finished it
        if (!record) return release();
        const upload = new Upload(record);
        upload.kept = record.file;
        this.#listen(upload, release);
        if (upload.state === 'withdrawn') return upload.cancel();
        this.#show(upload);
        if (upload.state !== 'waiting') upload.refresh();
      });
    }
  }

  /** Shows unfinished entries of the server's list that are unknown to this browser. */
  async adopt(entries) {
    const remembered = new Set((await recallAll(session.user)).map((record) => record.uuid));
    const known = new Set([...this.#releases.keys()].map((upload) => upload.uuid)); // including withdrawn ones
    for (const { file_uuid: uuid, filename, totalfilesize: size, received } of entries) {
      if (remembered.has(uuid) || known.has(uuid)) continue;
      const named = { name: filename ?? 'Unnamed upload', unnamed: filename === null };
      const upload = new Upload({ uuid, ...named, size, sent: received, added: 0, begun: true, foreign: true });
      this.#listen(upload, () => {});
      this.#show(upload);
      if (size === null || received === size) upload.refresh();
    }
  }

  /** Removes these from the list. They are cancelled or restored later. */
  withdraw(uploads) {
    for (const upload of uploads) {
      upload.withdraw();
      this.#hide(upload);
    }
    this.#runNext();
  }

  /** Restores withdrawn uploads. */
  putBack(uploads) {
    for (const upload of uploads) {
      this.#show(upload);
      upload.putBack();
    }
  }

  /** Cancels withdrawn uploads. If the page is closed meanwhile, the next one cancels them (see `restore`). */
  cancel(uploads) {
    for (const upload of uploads) upload.cancel();
  }

  pauseAll() {
    for (const upload of this.#active()) if (isPausable(upload)) upload.pause();
  }

  resumeAll() {
    for (const upload of this.uploads) if (PAUSED.includes(upload.state)) upload.resume();
  }

  /** Forgets how many uploads were finished. */
  clearDone() {
    this.#finished = { bytes: 0, count: 0 };
    this.#emit('totals');
  }

  /** Whether a reload would interrupt uploads whose files this browser can't keep. */
  get wouldLoseFiles() {
    return this.#active().some(({ file, kept }) => file && kept !== file);
  }

  /** The progress of all uploads: `{active, pausable, paused, stuck, count, done, share, pace, retrying}`. */
  get totals() {
    const active = this.#active();
    const sum = (what) => active.reduce((total, upload) => total + what(upload), 0);
    const size = this.#finished.bytes + sum((upload) => upload.size);
    const remaining = sum((upload) => upload.remaining);
    const moving = active.some(({ state }) => ['sending', 'pausing'].includes(state));
    return {
      active: active.length,
      pausable: active.filter(isPausable).length,
      paused: this.uploads.filter(({ state }) => PAUSED.includes(state)).length, // or soon
      stuck: this.uploads.filter(({ state }) => STUCK.includes(state)).length,
      count: active.length + this.#finished.count,
      done: this.#finished.count,
      share: active.length ? (size ? 1 - remaining / size : 0) : 1,
      pace: moving ? this.#meter.describe(remaining) : '',
      retrying: !moving && active.find(({ state }) => state === 'retrying'),
    };
  }

  async #start(upload) {
    this.#listen(upload, await claim(upload.id));
    this.#show(upload);
    this.#remember(upload);
  }

  #listen(upload, release) {
    this.#releases.set(upload, release);
    upload.addEventListener('record', () => this.#remember(upload));
    upload.addEventListener('change', () => this.#changed(upload));
    upload.addEventListener('reachable', () => this.#retryOffline());
    upload.addEventListener('bytes', ({ detail }) => {
      this.#transferred += detail;
      this.#meter.sample(this.#transferred);
    });
  }

  #show(upload) {
    this.uploads.push(upload);
    this.uploads.sort((a, b) => a.added - b.added);
    this.#emit('added', upload);
    this.#runNext();
  }

  #hide(upload) {
    if (!this.uploads.includes(upload)) return;
    this.uploads = this.uploads.filter((other) => other !== upload);
    this.#emit('removed', upload);
  }

  #changed(upload) {
    const { state } = upload;
    if (state === 'finished' || state === 'cancelled') {
      forget(upload.id).then(this.#releases.get(upload));
      this.#releases.delete(upload);
      if (state === 'finished') {
        this.#finished.bytes += upload.size;
        this.#finished.count += 1;
        this.#emit('finished', upload);
      }
      this.#hide(upload);
    } else if (state === 'failed' && !this.uploads.includes(upload)) {
      this.#show(upload); // it could not be cancelled
    } else {
      this.#emit('changed', upload);
    }
    this.#runNext();
  }

  /** Runs waiting uploads, as many as may run at a time. */
  #runNext() {
    for (const upload of this.uploads) {
      if (this.#running.size >= MAX_RUNNING || this.#refused) break;
      if (upload.state !== 'waiting' || this.#running.has(upload)) continue;
      this.#running.add(upload);
      upload.run().finally(() => {
        this.#running.delete(upload);
        this.#runNext();
      });
    }
    this.#updateInterval();
  }

  #retryOffline() {
    for (const upload of this.uploads) if (upload.state === 'retrying' && upload.offline) upload.resume();
  }

  /** Measures speeds once a second while uploads are active, so that they drop while nothing moves. */
  #updateInterval() {
    if (this.#active().length && !this.#interval) {
      this.#meter.reset();
      this.#interval = setInterval(() => {
        for (const upload of this.#running) {
          upload.measure();
          this.#emit('changed', upload);
        }
        this.#meter.sample(this.#transferred);
        this.#emit('totals');
      }, 1000);
    } else if (!this.#active().length) {
      clearInterval(this.#interval);
      this.#interval = null;
    }
    this.#emit('totals');
  }

  async #remember(upload) {
    const { id, file, kept, rejected, record } = upload;
    await remember({ ...record, user: session.user });
    if (rejected) await dropFile(id);
    else if (file && file !== kept && (await keepFile(id, file))) upload.kept = file;
    if (!this.#releases.has(upload)) await forget(id); // it has ended meanwhile
  }

  #active() {
    return this.uploads.filter((upload) => ACTIVE.includes(upload.state));
  }

  #emit(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }
}

export const queue = new Queue();
