// The rows of the uploads: what each upload is doing, and its buttons. Shows the queue; decides nothing.
import { announce, byId, guardDoubleClicks, keepFocus, setIcon, setLabel, setText, stamp } from './dom.js';
import { formatBytes, formatShare, formatWait, sentence } from './format.js';
import { iconOf } from './kinds.js';
import { queue } from './queue.js';
import { drawTotals, showTotals } from './totals.js';
import { cancelUploads } from './withdrawn.js';

/** What the first button of a row does. `wide` ones show their label, because the icon alone isn't clear enough. */
const ACTIONS = {
  pause: { icon: 'pause', label: 'Pause' },
  resume: { icon: 'play', label: 'Resume' },
  wake: { icon: 'retry', label: 'Try now', wide: true },
  retry: { icon: 'retry', label: 'Try again', wide: true },
  again: { icon: 'retry', label: 'Start again', wide: true },
  choose: { icon: 'folder', label: 'Choose the file', wide: true },
  finish: { icon: 'check', label: 'Finish', wide: true },
};
/** States that are announced when an upload enters them. */
const ANNOUNCED = ['failed', 'retrying', 'paused', 'needs-file'];
/** Pictures up to this size are shown while they are being uploaded. */
const PICTURE_BYTES = 10_000_000;
/** Number of waiting uploads that are shown. The others are only counted until the list is unfolded. */
const SHOWN_WAITING = 2;

const rows = new Map(); // upload -> the parts of its row
const dirty = new Set();
let unfolded = false;

/** Starts to show the queue. */
export function showUploads() {
  queue.addEventListener('added', ({ detail }) => add(detail));
  queue.addEventListener('changed', ({ detail }) => later(detail));
  queue.addEventListener('removed', ({ detail }) => remove(detail));
  queue.addEventListener('totals', () => later(queue));
  byId('unfold').addEventListener('click', () => {
    unfolded = !unfolded;
    fold();
  });
  showTotals();
}

/** Draws something in the next frame, because progress comes more often than frames. */
function later(what) {
  if (!dirty.size) requestAnimationFrame(drawDirty);
  dirty.add(what);
}

function drawDirty() {
  const drawn = [...dirty];
  dirty.clear();
  for (const what of drawn) if (rows.has(what)) draw(what, rows.get(what));
  fold();
  drawTotals();
}

function add(upload) {
  const row = stamp('upload-row');
  row.root.dataset.name = upload.name;
  setIcon(row.thumb, iconOf(upload.type, upload.name));
  if (upload.file && /^image\/(png|jpeg|gif|webp|avif)$/.test(upload.type) && upload.size < PICTURE_BYTES) {
    row.picture.src = URL.createObjectURL(upload.file);
    row.picture.hidden = false;
  }
  row.bar.setAttribute('aria-label', `Progress of ${upload.name}`);
  row.cancel.addEventListener('click', guardDoubleClicks(() => cancelUploads([upload])));
  row.main.addEventListener('click', () => act(upload));
  row.picker.addEventListener('change', () => choose(upload, row));
  rows.set(upload, row);
  const after = queue.uploads[queue.uploads.indexOf(upload) + 1];
  byId('upload-rows').insertBefore(row.root, rows.get(after)?.root ?? null);
  draw(upload, row);
  fold();
  drawTotals();
}

function remove(upload) {
  const row = rows.get(upload);
  rows.delete(upload);
  URL.revokeObjectURL(row.picture.src);
  keepFocus([row.root], () => row.root.remove(), byId('choose'));
  const { active, done } = queue.totals;
  const all = !active && done > 1 ? `. All ${done} files are uploaded` : '';
  if (upload.state === 'finished') announce(`${upload.name}: uploaded${all}`);
  fold();
  drawTotals();
}

/** Hides waiting uploads except the first ones, unless the list is unfolded. */
function fold() {
  const waiting = queue.uploads.filter(({ state }) => state === 'waiting');
  const more = waiting.length - SHOWN_WAITING;
  for (const [at, upload] of waiting.entries()) {
    const row = rows.get(upload)?.root;
    if (row) row.hidden = more > 1 && !unfolded && at >= SHOWN_WAITING;
  }
  byId('unfold').hidden = more < 2;
  byId('unfold').setAttribute('aria-expanded', unfolded);
  setText(byId('unfold'), unfolded ? 'Show fewer' : `Show ${more} more waiting`);
}

function actionOf({ state, remedy, size }) {
  if (['waiting', 'checking', 'sending'].includes(state)) return 'pause';
  if (state === 'needs-file') return size === null ? null : 'choose';
  const others = { pausing: 'resume', paused: 'resume', retrying: 'wake', ready: 'finish', failed: remedy };
  return others[state] ?? null;
}

function act(upload) {
  const action = actionOf(upload);
  if (action === 'pause') upload.pause();
  else if (action === 'again') upload.again();
  else if (action === 'choose') rows.get(upload).picker.click();
  else if (action) upload.resume();
}

function choose(upload, row) {
  const [file] = row.picker.files;
  row.picker.value = '';
  if (!file) return;
  if (upload.fits(file)) return upload.continueWith(file);
  const [size, expected] = [formatBytes(file.size), formatBytes(upload.size)];
  const why = file.size === upload.size ? 'has been changed since' : `has ${size}, not ${expected}`;
  setText(row.meta, `This is a different file: it ${why}.`);
  announce(row.meta.textContent);
}

function draw(upload, row) {
  const { state, progress, rejected } = upload;
  const changed = row.root.dataset.state !== state;
  row.root.dataset.state = state;
  row.root.hidden = false;
  setText(row.name, upload.name);
  row.name.title = upload.name;
  row.bar.value = progress;
  row.bar.hidden = rejected;
  setText(row.meta, describe(upload));
  const action = ACTIONS[actionOf(upload)];
  if (!action && row.main === document.activeElement) row.cancel.focus();
  row.main.hidden = !action;
  if (!changed) return;
  if (action) {
    setIcon(row.main, action.icon);
    setText(row.label, action.wide ? action.label : '');
    row.main.classList.toggle('wide', Boolean(action.wide));
    setLabel(row.main, `${action.label}: ${upload.name}`);
  }
  setLabel(row.cancel, rejected ? `Remove ${upload.name} from the list` : `Cancel ${upload.name}`);
  if (ANNOUNCED.includes(state)) announce(`${upload.name}: ${describe(upload)}`);
}

function describe(upload) {
  const { state, message, size, sent, progress } = upload;
  const at = size ? `${formatShare(progress)} of ${formatBytes(size)}` : formatBytes(sent);
  switch (state) {
    case 'waiting':
      return `${size === null ? '' : `${formatBytes(size)} · `}waiting for its turn`;
    case 'checking':
      return 'Checking what has arrived…';
    case 'sending':
      return [at, upload.meter.describe(upload.remaining)].filter(Boolean).join(' · ');
    case 'pausing':
      return `${at} · pausing…`;
    case 'finishing':
      return 'Finishing…';
    case 'paused':
      return progress === 1 ? 'Paused · everything is sent' : `Paused at ${at}`;
    case 'held':
      return `${at} · waiting for a new link`;
    case 'retrying':
      return `${upload.offline ? 'No connection.' : sentence(message)} Trying again in ${formatWait((upload.retryAt - Date.now()) / 1000)}.`;
    case 'ready':
      return 'Everything has arrived, but the program that started this upload has not finished it.';
    case 'needs-file':
      return message || needsFile(upload, at);
    default:
      return sentence(message);
  }
}

function needsFile({ size }, at) {
  if (size === null) return `Unfinished: ${at} arrived. Another program started it.`;
  return `Unfinished at ${at}. Choose or drop the same file to continue.`;
}
