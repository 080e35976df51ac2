// All uploads of this tab: whose turn it is, what is remembered of them, and how far they are together. Knows no
// element of the page.
import { claim } from './claims.js';
import { Meter } from './meter.js';
import { session } from './session.js';
import { dropFile, forget, keepFile, recall, recallAll, remember } from './store.js';
import { Upload } from './upload.js';

const AT_ONCE = 3;
const ACTIVE = ['waiting', 'checking', 'sending', 'pausing', 'finishing', 'retrying', 'held'];
const STUCK = ['failed', 'needs-file', 'ready'];
const PAUSED = ['paused', 'pausing'];
const isPausable = ({ state }) => ACTIVE.includes(state) && !['pausing', 'finishing'].includes(state);

/**
 * Says `added`, `changed`, `removed` and `finished` (detail: the upload), and `totals` when the sum of all is another.
 */
class Queue extends EventTarget {
  uploads = [];
  #running = new Set();
  #releases = new Map(); // upload -> gives up the claim to it
  #refused = false; // the token
  #before = { bytes: 0, count: 0 }; // finished since nothing was under way
  #transferred = 0;
  #meter = new Meter();
  #beat = null;

  constructor() {
    super();
    session.addEventListener('refused', () => (this.#refused = true));
    session.addEventListener('granted', () => {
      this.#refused = false;
      for (const upload of this.uploads) if (upload.state === 'held') upload.resume();
      this.#pump();
    });
    addEventListener('online', () => this.#wakeAll());
  }

  /** Takes files that were chosen, dropped or pasted; those that an unfinished upload waits for continue it. */
  async add(files) {
    if (!this.#active().length) this.clearDone();
    for (const [at, file] of [...files].entries()) {
      const waiting = this.uploads.find((upload) => !upload.file && upload.name === file.name && upload.fits(file));
      if (waiting) waiting.continueWith(file);
      else await this.#begin(Upload.of(file, Date.now() + at / 1000));
    }
  }

  /** Goes on with what this browser remembers, each as soon as no other tab does. */
  async restore() {
    for (const { id } of await recallAll(session.user)) {
      claim(id).then(async (release) => {
        const record = await recall(id); // the other tab may have finished it
        if (!record) return release();
        const upload = new Upload(record);
        upload.kept = record.file;
        this.#listen(upload, release);
        if (upload.state === 'withdrawn') return upload.cancel();
        this.#show(upload);
        if (upload.state !== 'waiting') upload.peek();
      });
    }
  }

  /** Shows entries of the server's list that are unfinished and unknown to this browser. */
  async adopt(entries) {
    const remembered = new Set((await recallAll(session.user)).map((record) => record.uuid));
    const known = new Set([...this.#releases.keys()].map((upload) => upload.uuid)); // withdrawn ones, too
    for (const { file_uuid: uuid, filename, totalfilesize: size, received } of entries) {
      if (remembered.has(uuid) || known.has(uuid)) continue;
      const named = { name: filename ?? 'Unnamed upload', unnamed: filename === null };
      const upload = new Upload({ uuid, ...named, size, sent: received, added: 0, begun: true, foreign: true });
      this.#listen(upload, () => {});
      this.#show(upload);
      if (size === null || received === size) upload.peek();
    }
  }

  /** Takes these off the list; they are cancelled later, or put back. */
  withdraw(uploads) {
    for (const upload of uploads) {
      upload.withdraw();
      this.#hide(upload);
    }
    this.#pump();
  }

  /** Puts back what was withdrawn. */
  putBack(uploads) {
    for (const upload of uploads) {
      this.#show(upload);
      upload.putBack();
    }
  }

  /** Cancels what was withdrawn. Should the page go meanwhile: the record says that it is withdrawn. */
  cancel(uploads) {
    for (const upload of uploads) upload.cancel();
  }

  pauseAll() {
    for (const upload of this.#active()) if (isPausable(upload)) upload.pause();
  }

  resumeAll() {
    for (const upload of this.uploads) if (PAUSED.includes(upload.state)) upload.resume();
  }

  /** Forgets how many were finished. */
  clearDone() {
    this.#before = { bytes: 0, count: 0 };
    this.#say('totals');
  }

  /** Uploads that a reload would interrupt for good. */
  get fragile() {
    return this.#active().some(({ file, kept }) => file && kept !== file);
  }

  /** How far all are together: `{active, pausable, paused, stuck, count, done, share, pace, retrying}`. */
  get totals() {
    const active = this.#active();
    const sum = (what) => active.reduce((total, upload) => total + what(upload), 0);
    const size = this.#before.bytes + sum((upload) => upload.size);
    const remaining = sum((upload) => upload.remaining);
    const moving = active.some(({ state }) => ['sending', 'pausing'].includes(state));
    return {
      active: active.length,
      pausable: active.filter(isPausable).length,
      paused: this.uploads.filter(({ state }) => PAUSED.includes(state)).length, // or soon
      stuck: this.uploads.filter(({ state }) => STUCK.includes(state)).length,
      count: active.length + this.#before.count,
      done: this.#before.count,
      share: active.length ? (size ? 1 - remaining / size : 0) : 1,
      pace: moving ? this.#meter.describe(remaining) : '',
      retrying: !moving && active.find(({ state }) => state === 'retrying'),
    };
  }

  async #begin(upload) {
    this.#listen(upload, await claim(upload.id));
    this.#show(upload);
    this.#remember(upload);
  }

  #listen(upload, release) {
    this.#releases.set(upload, release);
    upload.addEventListener('record', () => this.#remember(upload));
    upload.addEventListener('change', () => this.#changed(upload));
    upload.addEventListener('reachable', () => this.#wakeAll());
    upload.addEventListener('bytes', ({ detail }) => {
      this.#transferred += detail;
      this.#meter.sample(this.#transferred);
    });
  }

  #show(upload) {
    this.uploads.push(upload);
    this.uploads.sort((a, b) => a.added - b.added);
    this.#say('added', upload);
    this.#pump();
  }

  #hide(upload) {
    if (!this.uploads.includes(upload)) return;
    this.uploads = this.uploads.filter((other) => other !== upload);
    this.#say('removed', upload);
  }

  #changed(upload) {
    const { state } = upload;
    if (state === 'finished' || state === 'cancelled') {
      forget(upload.id).then(this.#releases.get(upload));
      this.#releases.delete(upload);
      if (state === 'finished') {
        this.#before.bytes += upload.size;
        this.#before.count += 1;
        this.#say('finished', upload);
      }
      this.#hide(upload);
    } else if (state === 'failed' && !this.uploads.includes(upload)) {
      this.#show(upload); // it could not be cancelled
    } else {
      this.#say('changed', upload);
    }
    this.#pump();
  }

  /** Lets the next ones begin. */
  #pump() {
    for (const upload of this.uploads) {
      if (this.#running.size >= AT_ONCE || this.#refused) break;
      if (upload.state !== 'waiting' || this.#running.has(upload)) continue;
      this.#running.add(upload);
      upload.run().finally(() => {
        this.#running.delete(upload);
        this.#pump();
      });
    }
    this.#tick();
  }

  #wakeAll() {
    for (const upload of this.uploads) if (upload.state === 'retrying' && upload.offline) upload.resume();
  }

  /** Speeds fade while nothing moves, so they are looked at once a second. */
  #tick() {
    if (this.#active().length && !this.#beat) {
      this.#meter.reset();
      this.#beat = setInterval(() => {
        for (const upload of this.#running) {
          upload.measure();
          this.#say('changed', upload);
        }
        this.#meter.sample(this.#transferred);
        this.#say('totals');
      }, 1000);
    } else if (!this.#active().length) {
      clearInterval(this.#beat);
      this.#beat = null;
    }
    this.#say('totals');
  }

  async #remember(upload) {
    const { id, file, kept, hopeless, record } = upload;
    await remember({ ...record, user: session.user });
    if (hopeless) await dropFile(id);
    else if (file && file !== kept && (await keepFile(id, file))) upload.kept = file;
    if (!this.#releases.has(upload)) await forget(id); // it was faster
  }

  #active() {
    return this.uploads.filter((upload) => ACTIVE.includes(upload.state));
  }

  #say(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}

export const queue = new Queue();
