// The uploads as rows: what each is doing, and the buttons that fit. Shows the queue; decides nothing.
import { announce, byId, iconOf, removeKeepingFocus, setIcon, setLabel, setText, stamp } from './dom.js';
import { formatBytes, formatCount, formatShare, formatWait, sentence } from './format.js';
import { queue } from './queue.js';

/** What the first button of a row does: icon, and words where an icon says too little. */
const ACTIONS = {
  pause: { icon: 'pause', label: 'Pause' },
  resume: { icon: 'play', label: 'Resume' },
  wake: { icon: 'retry', label: 'Try now', wide: true },
  retry: { icon: 'retry', label: 'Try again', wide: true },
  again: { icon: 'retry', label: 'Start again', wide: true },
  choose: { icon: 'folder', label: 'Choose the file', wide: true },
};
/** States that are announced when an upload comes to them. */
const TOLD = ['failed', 'retrying', 'paused', 'needs-file'];
/** Pictures up to this size are shown while they are uploaded. */
const PEEK_BYTES = 10_000_000;

const rows = new Map(); // upload -> the parts of its row
const dirty = new Set();

/** Shows the queue from now on. */
export function showUploads() {
  queue.addEventListener('added', ({ detail }) => add(detail));
  queue.addEventListener('changed', ({ detail }) => later(detail));
  queue.addEventListener('removed', ({ detail }) => remove(detail));
  queue.addEventListener('totals', () => later(queue));
}

/** Progress comes more often than screens are drawn. */
function later(what) {
  if (!dirty.size) requestAnimationFrame(drawDirty);
  dirty.add(what);
}

function drawDirty() {
  const drawn = [...dirty];
  dirty.clear();
  for (const what of drawn) {
    if (what === queue) drawTotals();
    else if (rows.has(what)) draw(what, rows.get(what));
  }
}

function add(upload) {
  const row = stamp('upload-row');
  row.root.dataset.name = upload.name;
  setIcon(row.thumb, iconOf(upload.type ?? ''));
  if (upload.file && /^image\/(png|jpeg|gif|webp|avif)$/.test(upload.type) && upload.size < PEEK_BYTES) {
    row.picture.src = URL.createObjectURL(upload.file);
    row.picture.hidden = false;
  }
  row.bar.setAttribute('aria-label', `Progress of ${upload.name}`);
  setLabel(row.cancel, `Cancel ${upload.name}`);
  row.cancel.addEventListener('click', () => upload.state !== 'cancelling' && upload.cancel());
  row.main.addEventListener('click', () => act(upload));
  row.picker.addEventListener('change', () => choose(upload, row));
  rows.set(upload, row);
  const after = queue.uploads[queue.uploads.indexOf(upload) + 1];
  byId('upload-rows').insertBefore(row.root, rows.get(after)?.root ?? null);
  draw(upload, row);
  drawTotals();
}

function remove(upload) {
  const row = rows.get(upload);
  rows.delete(upload);
  URL.revokeObjectURL(row.picture.src);
  removeKeepingFocus(row.root, byId('choose'));
  const { active, done } = queue.totals;
  const all = !active && done > 1 ? `. All ${done} files are uploaded` : '';
  announce(upload.state === 'finished' ? `${upload.name}: uploaded${all}` : `${upload.name}: cancelled`);
  drawTotals();
}

function actionOf({ state, remedy, size }) {
  if (['waiting', 'checking', 'sending'].includes(state)) return 'pause';
  if (state === 'needs-file') return size === null ? null : 'choose';
  return { paused: 'resume', retrying: 'wake', failed: remedy }[state] ?? null;
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
  setText(row.meta, `This is another file: it ${why}.`);
  announce(row.meta.textContent);
}

function draw(upload, row) {
  const { state, progress } = upload;
  const changed = row.root.dataset.state !== state;
  row.root.dataset.state = state;
  setText(row.name, upload.name);
  row.name.title = upload.name;
  row.bar.value = progress;
  setText(row.meta, describe(upload));
  const action = ACTIONS[actionOf(upload)];
  if (!action && row.main === document.activeElement) row.cancel.focus();
  row.main.hidden = !action;
  if (action && changed) {
    setIcon(row.main, action.icon);
    setText(row.label, action.wide ? action.label : '');
    row.main.classList.toggle('wide', Boolean(action.wide));
    setLabel(row.main, `${action.label}: ${upload.name}`);
  }
  if (changed && TOLD.includes(state)) announce(`${upload.name}: ${describe(upload)}`);
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
    case 'finishing':
      return 'Finishing…';
    case 'cancelling':
      return 'Cancelling…';
    case 'paused':
      return `Paused at ${at}`;
    case 'held':
      return `${at} · waiting for a new link`;
    case 'retrying':
      return `${sentence(message)} Trying again in ${formatWait((upload.retryAt - Date.now()) / 1000)}.`;
    case 'needs-file':
      return message || needsFile(upload, at);
    default:
      return sentence(message);
  }
}

function needsFile({ size }, at) {
  if (size === null) return `Unfinished, ${at} arrived. Another program began it.`;
  return `Unfinished at ${at}. Choose or drop the same file to continue.`;
}

function drawTotals() {
  const { active, count, done, share, pace } = queue.totals;
  byId('uploads').hidden = !rows.size && !done;
  byId('uploads').classList.toggle('idle', !active);
  let title = 'Unfinished uploads';
  if (active) title = `Uploading ${formatCount(count, 'file')}`;
  else if (done && !rows.size) title = `${formatCount(done, 'file')} uploaded`;
  setText(byId('uploads-title'), title);
  byId('total').hidden = !active && (!done || rows.size > 0);
  byId('total').value = share;
  document.title = active ? `${formatShare(share)} · Haversack` : 'Haversack';
  const facts = active ? [count > 1 && `${done} of ${count}`, formatShare(share), pace] : [];
  setText(byId('pace'), facts.filter(Boolean).join(' · '));
}
