// Numbers as people read them. Knows no element of the page.

const number = (digits) => new Intl.NumberFormat('en', { maximumFractionDigits: digits });
const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'];

/** `1234567` -> `1.2 MB`, in powers of 1000. */
export function formatBytes(count) {
  let [value, unit] = [count, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  if (count === 1) return '1 byte';
  return `${number(unit > 1 && value < 99.5 ? 1 : 0).format(value)} ${UNITS[unit]}`;
}

/** What remains, roughly: `9 s`, `4 min`, `2 h 10 min`. */
export function formatWait(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.ceil(seconds))} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A length to play: `0:32`, `1:02:03`. */
export function formatDuration(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, at) => (at ? String(part).padStart(2, '0') : part)).join(':');
}

/** `0.417` -> `41 %`; 100 only when all is there. */
export const formatShare = (share) => `${Math.floor(share * 100)} %`;

/** `3`, `file` -> `3 files`. */
export const formatCount = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** A message of the server's as a sentence, with large numbers in groups. */
export function sentence(text) {
  const grouped = text.replace(/\d{5,}(?= bytes)/g, (count) => number(0).format(count));
  return grouped.replace(/^./, (first) => first.toUpperCase()).replace(/[^.!?…]$/, '$&.');
}

/** Bytes per second over the last few seconds; old samples fade out. */
export class Meter {
  #rate = null;
  #last = null;

  /** `bytes` were sent so far, at `now` (ms). */
  sample(bytes, now = performance.now()) {
    if (this.#last) {
      const seconds = (now - this.#last.now) / 1000;
      if (seconds < 0.4) return;
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

  /** `3.1 MB/s · 9 s left` for what remains; empty while nothing is known. */
  describe(remaining) {
    if (!this.#rate || this.#rate < 1) return '';
    return `${formatBytes(this.#rate)}/s · ${formatWait(remaining / this.#rate)} left`;
  }
}
