// The head of the uploads: the progress of all of them, and buttons that act on all of them. Shows the queue; decides
// nothing.
import { announce, byId, setIcon, setLabel, setText } from './dom.js';
import { formatCount, formatShare, formatWait } from './format.js';
import { queue } from './queue.js';
import { cancelUploads } from './withdrawn.js';

/** Starts to handle the buttons. */
export function showTotals() {
  byId('uploads-pause').addEventListener('click', () => {
    const { pausable } = queue.totals;
    if (pausable) queue.pauseAll();
    else queue.resumeAll();
    announce(pausable ? 'All uploads paused.' : 'All uploads resumed.');
  });
  byId('uploads-cancel').addEventListener('click', () => cancelUploads([...queue.uploads]));
  byId('uploads-dismiss').addEventListener('click', () => {
    queue.clearDone();
    byId('choose').focus();
  });
}

/** Updates the head. */
export function drawTotals() {
  const totals = queue.totals;
  const { active, done, share } = totals;
  const listed = queue.uploads.length;
  const section = byId('uploads');
  section.hidden = !listed && !done;
  section.classList.toggle('away', Boolean(totals.retrying?.offline));
  section.classList.toggle('done', !listed);
  setText(byId('uploads-title'), titleOf(totals, listed));
  setText(byId('pace'), paceOf(totals));
  byId('total').hidden = !active;
  byId('total').value = share;
  document.title = active ? `${formatShare(share)} · Haversack` : 'Haversack';
  drawButtons(totals, listed);
}

function drawButtons({ pausable, paused, done }, listed) {
  const pause = byId('uploads-pause');
  const several = listed > 1 && (pausable > 0 || paused > 0);
  if (pause.hidden !== !several || pause.dataset.pauses !== String(pausable > 0)) {
    pause.hidden = !several;
    pause.dataset.pauses = pausable > 0;
    setIcon(pause, pausable ? 'pause' : 'play');
    setText(pause.querySelector('.label'), pausable ? 'Pause all' : 'Resume all');
    setLabel(pause, pausable ? 'Pause all' : 'Resume all');
  }
  const cancel = byId('uploads-cancel');
  cancel.hidden = listed < 2;
  const what = queue.uploads.every(({ rejected }) => rejected) ? 'Dismiss all' : 'Cancel all';
  if (cancel.title !== what) {
    setText(cancel.querySelector('.label'), what);
    setLabel(cancel, what);
  }
  byId('uploads-dismiss').hidden = listed > 0 || !done;
}

function titleOf({ active, pausable, paused, count, done }, listed) {
  if (!pausable && paused && active) return `Pausing ${formatCount(paused, 'upload')}`;
  if (active) return `Uploading ${formatCount(count, 'file')}`;
  if (!listed) return `${formatCount(done, 'file')} uploaded`;
  if (paused === listed) return `${formatCount(paused, 'upload')} paused`;
  if (queue.uploads.every(({ state }) => state === 'failed')) return `${formatCount(listed, 'file')} could not be uploaded`;
  return `${formatCount(listed, 'unfinished upload')}`;
}

function paceOf({ active, stuck, count, done, share, pace, retrying }) {
  if (!active) return '';
  if (retrying?.offline) {
    return `No connection · trying again in ${formatWait((retrying.retryAt - Date.now()) / 1000)}`;
  }
  const attention = stuck && `${stuck} need${stuck === 1 ? 's' : ''} attention`;
  const facts = [count > 1 && `${done} of ${count}`, formatShare(share), pace, attention];
  return facts.filter(Boolean).join(' · ');
}
