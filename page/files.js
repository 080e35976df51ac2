// The list of finished files: rows, pages, and what can be done with a file. Knows the queue only as the place for the
// list's unfinished entries.
import { call } from './api.js';
import { announce, byId, iconOf, removeKeepingFocus, setIcon, setLabel, setText, stamp } from './dom.js';
import { formatBytes, formatDuration, sentence } from './format.js';
import { canPreview, preview } from './preview.js';
import { queue } from './queue.js';

/** A picture up to this size stands for itself where there is no thumbnail. */
const OWN_THUMBNAIL_BYTES = 1_000_000;
/** When to look for a thumbnail that is still being made. */
const LOOK_AGAIN_MS = [2_000, 8_000];
const COPIED_MS = 2_000;

const rows = new Map(); // uuid -> root of its row
let next = '';
let loading = false;

/** Shows finished uploads as they come, and the buttons of the list. */
export function showFiles() {
  byId('more').addEventListener('click', () => loadFiles(next));
  queue.addEventListener('finished', ({ detail: { result } }) => {
    add(result, true);
    look(result);
  });
}

/** Loads the page of the list at `cursor`; the first one replaces what is shown. */
export async function loadFiles(cursor = '') {
  if (loading) return; // a disabled button would lose the focus
  loading = true;
  try {
    const page = await call('GET', `?cursor=${cursor}`);
    if (!cursor) clear();
    for (const entry of page.results) if (entry.state === 'finished') add(entry);
    await queue.adopt(page.results.filter((entry) => entry.state === 'unfinished'));
    next = page.next;
    byId('more').hidden = next === null;
    byId('list-trouble').hidden = true;
    drawEmpty();
  } catch (error) {
    if (error.status === 401) return; // told elsewhere
    setText(byId('list-error'), sentence(error.message));
    byId('list-trouble').hidden = false;
  } finally {
    loading = false;
  }
}

function clear() {
  for (const root of rows.values()) root.remove();
  rows.clear();
}

function drawEmpty() {
  byId('files').hidden = false;
  byId('empty').hidden = rows.size > 0;
}

function add(file, isNew = false) {
  const row = stamp('file-row');
  fill(row, file);
  row.root.classList.toggle('new', isNew);
  row.open.addEventListener('click', () => preview(file));
  row.copy.addEventListener('click', () => copy(file, row.copy));
  row.delete.addEventListener('click', () => ask(row, true));
  row.keep.addEventListener('click', () => ask(row, false));
  row.really.addEventListener('click', () => remove(file, row));
  row.ask.addEventListener('keydown', ({ key }) => key === 'Escape' && ask(row, false));
  const known = rows.get(file.uuid);
  if (known) known.replaceWith(row.root);
  else byId('file-rows')[isNew ? 'prepend' : 'append'](row.root);
  rows.set(file.uuid, row.root);
  drawEmpty();
}

function fill(row, file) {
  const { filename, filesize, mimetype, duration, width, height } = file;
  setText(row.name, filename);
  row.root.dataset.name = filename;
  row.open.title = filename;
  const length = duration === null ? '' : formatDuration(duration);
  const facts = [formatBytes(filesize), length, width && height ? `${width} × ${height}` : kindOf(mimetype)];
  setText(row.meta, facts.filter(Boolean).join(' · '));
  setText(row.verb, canPreview(mimetype) ? 'Preview' : 'Details of');
  setIcon(row.thumb, iconOf(mimetype));
  row.download.href = `${file.url}&download`;
  row.download.download = filename;
  for (const [part, verb] of [
    ['download', 'Download'],
    ['copy', 'Copy the link of'],
    ['delete', 'Delete'],
  ]) {
    setLabel(row[part], `${verb} ${filename}`);
  }
  showThumbnail(row, thumbnailOf(file));
}

/** `image/jpeg` -> `JPEG`; empty where the type says nothing short. */
function kindOf(type) {
  const kind = type.split('/')[1].replace(/^x-/, '');
  return kind === 'octet-stream' || kind.length > 8 ? '' : kind.toUpperCase();
}

function thumbnailOf({ thumbnail, url, mimetype, filesize }) {
  if (thumbnail) return thumbnail;
  return canPreview(mimetype) === 'image' && filesize <= OWN_THUMBNAIL_BYTES ? url : null;
}

function showThumbnail({ picture }, link) {
  picture.hidden = true; // until it has loaded: the icon is better than a hole
  if (!link) return;
  picture.onload = () => (picture.hidden = false);
  picture.src = link;
}

/** A thumbnail may be ready a little later than its file. */
async function look(file) {
  if (file.thumbnail || !/^(image|video)\//.test(file.mimetype)) return;
  for (const wait of LOOK_AGAIN_MS) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    const fresh = await call('GET', `${file.uuid}/file/`).catch(() => null);
    if (!fresh || !rows.has(file.uuid)) return;
    if (!fresh.thumbnail) continue;
    const picture = rows.get(file.uuid).querySelector('[data-part=picture]');
    return showThumbnail({ picture }, fresh.thumbnail);
  }
}

async function copy(file, button) {
  const done = await putOnClipboard(file.url);
  announce(done ? 'The link is copied.' : 'The browser does not let this page copy.');
  if (!done) return;
  setIcon(button, 'check');
  button.classList.add('done');
  setTimeout(() => {
    setIcon(button, 'link');
    button.classList.remove('done');
  }, COPIED_MS);
}

async function putOnClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Plain http elsewhere than on localhost has no clipboard API.
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'quiet';
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return done;
  }
}

function ask(row, asking) {
  row.ask.hidden = !asking;
  row.actions.hidden = asking;
  setText(row.question, 'Delete for good?');
  (asking ? row.keep : row.delete).focus();
}

async function remove(file, row) {
  try {
    await call('DELETE', `${file.uuid}/`);
  } catch (error) {
    if (![404, 410].includes(error.status)) {
      setText(row.question, sentence(error.message));
      return announce(error.message);
    }
  }
  rows.delete(file.uuid);
  removeKeepingFocus(row.root, byId('choose'));
  announce(`${file.filename}: deleted`);
  drawEmpty();
}
