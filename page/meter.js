// Measures and describes the speed of transfers. Knows nothing about uploads.
import { formatBytes, formatWait } from './format.js';

/** If no bytes have moved for this long, the speed is no longer shown. */
const STILL_MS = 3_000;
/** Minimum time between samples. Shorter intervals are too inaccurate. */
const SAMPLE_S = 0.4;

/** The average speed over the last few seconds, in which newer samples have more weight. */
export class Meter {
  #rate = null;
  #last = null;
  #moved = 0; // when bytes last moved (ms)

  /** Records that `bytes` have been sent in total at time `now` (ms). */
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

  /** Forgets the speed, which means nothing after a pause. */
  reset() {
    this.#rate = this.#last = null;
  }

  /** Describes speed and time left: `3.1 MB/s · 9 s left`. Empty if they are unknown or nothing moves. */
  describe(remaining, now = performance.now()) {
    if (!this.#rate || this.#rate < 1 || now - this.#moved > STILL_MS) return '';
    return `${formatBytes(this.#rate)}/s · ${formatWait(remaining / this.#rate)}\u00a0left`;
  }
}
