// The dialog that shows a file, and moves to the next and previous ones. Other modules delete files and copy links.
import { copyLink } from './clipboard.js';
import { announce, byId, guardDoubleClicks, setIcon, setText } from './dom.js';
import { fileList } from './filelist.js';
import { formatBytes, formatDuration, formatMoment } from './format.js';
import { canPreview, describeKind, iconOf } from './kinds.js';
import { moveNotices } from './notice.js';
import { trash } from './trash.js';

/** Minimum horizontal distance of a swipe to another file. */
const SWIPE_PX = 60;

let current = null; // the file that is shown
let opener = null; // the element that had the focus before
let more = async () => {};

/** Starts to handle the dialog's buttons and keys. `loadMore` resolves once the next page, if any, is in the list. */
export function showPreview(loadMore) {
  more = loadMore;
  const dialog = byId('preview');
  byId('preview-previous').addEventListener('click', () => step(-1));
  byId('preview-next').addEventListener('click', () => step(1));
  byId('preview-copy').addEventListener('click', ({ currentTarget }) => copyLink(current, currentTarget));
  byId('preview-delete').addEventListener('click', guardDoubleClicks(discard));
  byId('preview-close').addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close()); // outside its content
  dialog.addEventListener('keydown', (event) => {
    if (event.target.matches('video, audio') || event.ctrlKey || event.metaKey || event.altKey) return; // players seek
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (direction) step(direction);
    else if (event.key === 'Delete' && !event.repeat) discard();
  });
  dialog.addEventListener('close', () => {
    byId('preview-stage').replaceChildren(); // stops playback
    moveNotices(document.body, byId('files-title'));
    // The event comes after the dialog has closed. If the user has moved the focus since, it stays there.
    const { activeElement } = document;
    if (activeElement === opener || activeElement === document.body) fileList.tileOf(current.uuid)?.open.focus();
  });
  fileList.addEventListener('changed', () => dialog.open && drawPosition()); // for example, a deletion was undone
  listenForSwipes(byId('preview-stage'));
}

/** Opens the dialog for a file. */
export function preview(file) {
  opener = document.activeElement;
  draw(file);
  moveNotices(byId('preview'), byId('preview-close'));
  byId('preview').showModal();
}

async function step(direction) {
  let to = fileList.neighbour(current.uuid, direction);
  if (!to && direction > 0) {
    await more();
    to = fileList.neighbour(current.uuid, direction);
  }
  if (!to || !byId('preview').open) return;
  draw(to);
  announce(`${to.filename}, ${byId('preview-position').textContent}`);
}

function discard() {
  const next = fileList.neighbour(current.uuid, 1) ?? fileList.neighbour(current.uuid, -1);
  trash([current]);
  if (next) draw(next);
  else byId('preview').close();
}

function draw(file) {
  current = file;
  const kind = canPreview(file.mimetype);
  setText(byId('preview-name'), file.filename);
  byId('preview-name').title = file.filename;
  setText(byId('preview-meta'), factsOf(file).join(' · '));
  byId('preview-note').hidden = file.metadata !== 'kept';
  const link = byId('preview-download');
  link.href = `${file.url}&download`;
  link.download = file.filename;
  setIcon(byId('preview-none'), iconOf(file.mimetype));
  byId('preview-none').hidden = Boolean(kind);
  byId('preview-stage').replaceChildren(...(kind ? [player(kind, file)] : []));
  drawPosition();
}

function drawPosition() {
  const { shown } = fileList;
  const at = shown.findIndex(({ uuid }) => uuid === current.uuid);
  setText(byId('preview-position'), `${at + 1} of ${shown.length}${byId('more').hidden ? '' : '+'}`);
  byId('preview-previous').setAttribute('aria-disabled', at <= 0);
  byId('preview-next').setAttribute('aria-disabled', at === shown.length - 1 && byId('more').hidden);
}

function factsOf({ filename, filesize, mimetype, duration, width, height, created }) {
  return [
    describeKind(mimetype, filename),
    width && height ? `${width} × ${height}` : '',
    duration === null ? '' : formatDuration(duration),
    formatBytes(filesize),
    created ? formatMoment(new Date(created * 1000)) : '',
  ].filter(Boolean);
}

function player(kind, file) {
  const element = document.createElement(kind === 'image' ? 'img' : kind);
  if (kind === 'image') Object.assign(element, { alt: file.filename, draggable: false });
  else Object.assign(element, { controls: true, preload: 'metadata', ariaLabel: file.filename });
  if (kind === 'video' && file.thumbnail) element.poster = file.thumbnail;
  element.onerror = () => {
    element.remove();
    byId('preview-none').hidden = false;
  };
  element.src = file.url;
  return element;
}

function listenForSwipes(stage) {
  let from = null;
  stage.addEventListener('touchstart', ({ touches, target }) => {
    from = touches.length === 1 && !target.matches('video, audio') ? touches[0] : null;
  }, { passive: true });
  stage.addEventListener('touchend', ({ changedTouches: [to] }) => {
    const [across, along] = from ? [to.clientX - from.clientX, to.clientY - from.clientY] : [0, 0];
    if (Math.abs(across) > SWIPE_PX && Math.abs(across) > 2 * Math.abs(along)) step(across < 0 ? 1 : -1);
  });
}
