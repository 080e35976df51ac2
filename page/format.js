// Formats numbers and times for people. Knows no element of the page.

const number = (digits) => new Intl.NumberFormat('en', { maximumFractionDigits: digits });
const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'];

const NO_BREAK_SPACE = '\u00a0'; // keeps a number and its unit on one line

/** `1234567` -> `1.2 MB`, in powers of 1000. */
export function formatBytes(count) {
  let [value, unit] = [count, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  if (count === 1) return `1${NO_BREAK_SPACE}byte`;
  return number(unit > 1 && value < 99.5 ? 1 : 0).format(value) + NO_BREAK_SPACE + UNITS[unit];
}

/** The time left, roughly: `9 s`, `4 min`, `2 h 10 min`. */
export function formatWait(seconds) {
  if (seconds < 60) return Math.max(1, Math.ceil(seconds)) + NO_BREAK_SPACE + 's';
  const minutes = Math.ceil(seconds / 60);
  const rest = (minutes % 60) + NO_BREAK_SPACE + 'min';
  return minutes < 60 ? rest : `${Math.floor(minutes / 60)}${NO_BREAK_SPACE}h ${rest}`;
}

/** The duration of audio or video: `0:32`, `1:02:03`. */
export function formatDuration(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, at) => (at ? String(part).padStart(2, '0') : part)).join(':');
}

const time = (options) => new Intl.DateTimeFormat('en-GB', options); // the day before the month, which is a word
const CLOCK = time({ hour: '2-digit', minute: '2-digit' });
const DAY = time({ day: 'numeric', month: 'short' });
const DAY_OF_YEAR = time({ day: 'numeric', month: 'short', year: 'numeric' });

/** A short date: `Today, 14:03`, `Yesterday`, `3 Nov`, `3 Nov 2025`. */
export function formatDate(date, now = new Date()) {
  const day = (of, back = 0) => new Date(of.getFullYear(), of.getMonth(), of.getDate() - back).getTime();
  if (day(date) === day(now)) return `Today, ${CLOCK.format(date)}`;
  if (day(date) === day(now, 1)) return 'Yesterday';
  return (date.getFullYear() === now.getFullYear() ? DAY : DAY_OF_YEAR).format(date);
}

/** A full date and time: `3 Nov 2026, 14:03`. */
export const formatMoment = (date) =>
  `${DAY_OF_YEAR.format(date)}, ${CLOCK.format(date)}`.replaceAll(' ', NO_BREAK_SPACE);

/** Removes the middle of a name that is too long for a sentence. Its end is kept, because it shows the kind of file. */
export function shorten(name, max = 36) {
  const letters = [...name];
  if (letters.length <= max) return name;
  return `${letters.slice(0, max - 12).join('').trimEnd()}…${letters.slice(-11).join('').trimStart()}`;
}

/** `0.417` -> `41%`. Rounds down, so that 100% means complete. */
export const formatShare = (share) => `${Math.floor(share * 100)}%`;

/** `3`, `file` -> `3 files`. */
export const formatCount = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Turns a message of the server into a sentence, with sizes formatted as everywhere on the page. */
export function sentence(text) {
  const sized = text.replace(/(\d+) bytes?\b/g, (_, count) => formatBytes(Number(count)));
  return sized.replace(/^./, (first) => first.toUpperCase()).replace(/[^.!?…]$/, '$&.');
}
