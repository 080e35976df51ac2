// Numbers and times as people read them. Knows no element of the page.

const number = (digits) => new Intl.NumberFormat('en', { maximumFractionDigits: digits });
const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'];

const UNBROKEN = '\u00a0'; // a number and its unit stay on one line

/** `1234567` -> `1.2 MB`, in powers of 1000. */
export function formatBytes(count) {
  let [value, unit] = [count, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  if (count === 1) return `1${UNBROKEN}byte`;
  return number(unit > 1 && value < 99.5 ? 1 : 0).format(value) + UNBROKEN + UNITS[unit];
}

/** What remains, roughly: `9 s`, `4 min`, `2 h 10 min`. */
export function formatWait(seconds) {
  if (seconds < 60) return Math.max(1, Math.ceil(seconds)) + UNBROKEN + 's';
  const minutes = Math.ceil(seconds / 60);
  const rest = (minutes % 60) + UNBROKEN + 'min';
  return minutes < 60 ? rest : `${Math.floor(minutes / 60)}${UNBROKEN}h ${rest}`;
}

/** A length to play: `0:32`, `1:02:03`. */
export function formatDuration(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, at) => (at ? String(part).padStart(2, '0') : part)).join(':');
}

const time = (options) => new Intl.DateTimeFormat('en-GB', options); // days before months, as words
const CLOCK = time({ hour: '2-digit', minute: '2-digit' });
const DAY = time({ day: 'numeric', month: 'short' });
const DAY_OF_YEAR = time({ day: 'numeric', month: 'short', year: 'numeric' });

/** When something was, in short: `Today, 14:03`, `Yesterday`, `3 Nov`, `3 Nov 2025`. */
export function formatDate(date, now = new Date()) {
  const day = (of, back = 0) => new Date(of.getFullYear(), of.getMonth(), of.getDate() - back).getTime();
  if (day(date) === day(now)) return `Today, ${CLOCK.format(date)}`;
  if (day(date) === day(now, 1)) return 'Yesterday';
  return (date.getFullYear() === now.getFullYear() ? DAY : DAY_OF_YEAR).format(date);
}

/** When something was, in full: `3 Nov 2026, 14:03`. */
export const formatMoment = (date) =>
  `${DAY_OF_YEAR.format(date)}, ${CLOCK.format(date)}`.replaceAll(' ', UNBROKEN);

/** A name that is too long for a sentence, without its middle: its end tells what kind of file it is. */
export function shorten(name, most = 36) {
  const letters = [...name];
  if (letters.length <= most) return name;
  return `${letters.slice(0, most - 12).join('').trimEnd()}…${letters.slice(-11).join('').trimStart()}`;
}

/** `0.417` -> `41%`; 100 only when all is there. */
export const formatShare = (share) => `${Math.floor(share * 100)}%`;

/** `3`, `file` -> `3 files`. */
export const formatCount = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** A message of the server's as a sentence, with sizes as they are written everywhere on the page. */
export function sentence(text) {
  const sized = text.replace(/(\d+) bytes?\b/g, (_, count) => formatBytes(Number(count)));
  return sized.replace(/^./, (first) => first.toUpperCase()).replace(/[^.!?…]$/, '$&.');
}
