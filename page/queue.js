// All uploads of this tab: whose turn it is, what is remembered of them, and how far they are together. Knows no
// element of the page.
import { claim } from './claims.js';
import { Meter } from './format.js';
import { session } from './session.js';
import { forget, keepFile, recall, recallAll, remember } from './store.js';
import { Upload } from './upload.js';

const AT_ONCE = 3;
const ACTIVE = ['waiting', 'checking', 'sending', 'finishing', 'retrying', 'held'];

/**
 * Says `added`, `changed`, `removed` and `finished` (detail: the upload), and `totals` when the sum of all is another.
 */
class Queue extends EventTarget {
  uploads = [];
  #running = new Set();
  #refused = false; // the token
  #before = { bytes: 0, count: 0 }; // finished since nothing was under way
  #gone = 0; // bytes that uploads brought which are no longer here
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
    addEventListener('online', () => {
      for (const upload of this.uploads) if (upload.state === 'retrying') upload.resume();
    });
  }

  /** Takes files that were chosen, dropped or pasted; those that an unfinished upload waits for continue it. */
  async add(files) {
    if (!this.#active().length) this.#before = { bytes: 0, count: 0 };
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
        this.#take(upload, release);
        if (upload.state !== 'waiting') upload.peek();
      });
    }
  }

  /** Shows entries of the server's list that are unfinished and unknown to this browser. */
  async adopt(entries) {
    const remembered = new Set((await recallAll(session.user)).map((record) => record.uuid));
    for (const { file_uuid: uuid, filename, totalfilesize: size, received } of entries) {
      if (remembered.has(uuid) || this.uploads.some((upload) => upload.uuid === uuid)) continue;
      const known = { uuid, size, sent: received, added: 0, begun: true };
      this.#take(new Upload({ ...known, name: filename ?? 'Unnamed upload', unnamed: filename === null }), () => {});
    }
  }

  /** Uploads that a reload would interrupt for good. */
  get fragile() {
    return this.#active().some(({ file, kept }) => kept !== file);
  }

  /** How far all are together: `{active, count, done, share, pace}`. */
  get totals() {
    const active = this.#active();
    const sum = (what) => active.reduce((total, upload) => total + what(upload), 0);
    const size = this.#before.bytes + sum((upload) => upload.size);
    const remaining = sum((upload) => upload.remaining);
    return {
      active: active.length,
      count: active.length + this.#before.count,
      done: this.#before.count,
      share: active.length ? (size ? 1 - remaining / size : 0) : 1,
      pace: this.#meter.describe(remaining),
    };
  }

  async #begin(upload) {
    const release = await claim(upload.id);
    this.#take(upload, release);
    this.#remember(upload);
  }

  #take(upload, release) {
    this.uploads.push(upload);
    this.uploads.sort((a, b) => a.added - b.added);
    upload.addEventListener('record', () => this.#remember(upload));
    upload.addEventListener('change', () => this.#changed(upload, release));
    this.#say('added', upload);
    this.#pump();
  }

  #changed(upload, release) {
    const { state } = upload;
    if (state === 'finished' || state === 'cancelled') {
      this.uploads = this.uploads.filter((other) => other !== upload);
      this.#gone += upload.transferred;
      forget(upload.id).then(release);
      if (state === 'finished') {
        this.#before.bytes += upload.size;
        this.#before.count += 1;
        this.#say('finished', upload);
      }
      this.#say('removed', upload);
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

  /** Speeds fade while nothing moves, so they are looked at once a second. */
  #tick() {
    if (this.#active().length && !this.#beat) {
      this.#meter.reset();
      this.#beat = setInterval(() => {
        for (const upload of this.#running) {
          upload.meter.sample(upload.transferred);
          this.#say('changed', upload);
        }
        this.#meter.sample(this.#transferred());
        this.#say('totals');
      }, 1000);
    } else if (!this.#active().length) {
      clearInterval(this.#beat);
      this.#beat = null;
    }
    this.#meter.sample(this.#transferred());
    this.#say('totals');
  }

  #transferred() {
    return this.uploads.reduce((total, upload) => total + upload.transferred, this.#gone);
  }

  async #remember(upload) {
    const { id, file, kept, record } = upload;
    await remember({ ...record, user: session.user });
    if (file && file !== kept && (await keepFile(id, file))) upload.kept = file;
    if (!this.uploads.includes(upload)) await forget(id); // it was faster
  }

  #active() {
    return this.uploads.filter((upload) => ACTIVE.includes(upload.state));
  }

  #say(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}

export const queue = new Queue();
