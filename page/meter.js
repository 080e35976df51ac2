// How fast bytes go, as people want to know it. Knows nothing of uploads.
import { formatBytes, formatWait } from './format.js';

/** When nothing has moved for so long, an old speed is no longer true. */
const STILL_MS = 3_000;
/** Samples closer together than this say little. */
const SAMPLE_S = 0.4;

/** Bytes per second over the last few seconds; old samples fade out. */
export class Meter {
  #rate = null;
  #last = null;
  #moved = 0; // when bytes moved last, in ms

  /** `bytes` were sent so far, at `now` (ms). */
  sample(bytes, now = performance.now()) {
    if (!this.#last || bytes > this.#last.bytes) this.#moved = now;
    if (this.#last) {
      const seconds = (now - this.#last.now) / 1000;
      if (seconds < SAMPLE_S) return;
      const rate = (bytes - this.#last.bytes) / seconds;
      const weight = Math.exp(-seconds / 4);
      this.#rate = this.#rate === null ? rate : this.#rate * weight + rate * (1 - weight);
    }
    this.#last = { bytes, now };
  }

  /** Forgets what it knows: after a pause the old speed means nothing. */
  reset() {
    this.#rate = this.#last = null;
  }

  /** `3.1 MB/s · 9 s left` for what remains; empty while nothing is known, or nothing moves. */
  describe(remaining, now = performance.now()) {
    if (!this.#rate || this.#rate < 1 || now - this.#moved > STILL_MS) return '';
    return `${formatBytes(this.#rate)}/s · ${formatWait(remaining / this.#rate)} left`;
  }
}
