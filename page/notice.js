// The bar at the bottom: shows the last action that can be undone, or an error. Decides nothing.
import { announce, byId, guardDoubleClicks, setText } from './dom.js';
import { undo } from './undo.js';

let trouble = ''; // stays until it is dismissed
let focusFallback = byId('files-title');

/** Shows that an action of the user failed. */
export function showTrouble(text) {
  trouble = text;
  announce(text);
  draw();
}

/** Starts to show what can be undone. Ctrl+Z also undoes it. */
export function showNotices() {
  const bar = byId('notice');
  undo.addEventListener('changed', () => {
    if (undo.latest) trouble = '';
    draw();
  });
  byId('notice-undo').addEventListener('click', undoLatest);
  const close = () => {
    trouble = '';
    undo.commit();
    draw();
  };
  byId('notice-close').addEventListener('click', guardDoubleClicks(close));
  addEventListener('keydown', (event) => {
    const { key, ctrlKey, metaKey, shiftKey, target } = event;
    if (key !== 'z' || !(ctrlKey || metaKey) || shiftKey || !undo.latest) return;
    if (target.matches('input:not([type=checkbox]), textarea')) return;
    event.preventDefault();
    undoLatest();
  });
  for (const [enter, leave] of [
    ['pointerenter', 'pointerleave'],
    ['focusin', 'focusout'],
  ]) {
    bar.addEventListener(enter, () => undo.hold());
    bar.addEventListener(leave, () => undo.release());
  }
}

/**
 * Moves the bar into `parent`, because nothing outside a modal dialog can be reached. If the bar has the focus when it
 * disappears, `fallback` gets it.
 */
export function moveNotices(parent, fallback) {
  parent.append(byId('notices'));
  focusFallback = fallback;
}

function undoLatest() {
  undo.undo();
  announce('Undone.');
}

function draw() {
  const { latest } = undo;
  const bar = byId('notice');
  const text = trouble || latest?.text || '';
  if (!text && bar.contains(document.activeElement)) focusFallback.focus();
  bar.hidden = !text;
  bar.classList.toggle('trouble', Boolean(trouble));
  byId('notice-undo').hidden = Boolean(trouble);
  setText(byId('notice-text'), text);
}
