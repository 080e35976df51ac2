// The bar at the bottom: the last thing that can be undone, or what went wrong with one. Decides nothing.
import { announce, byId, setText } from './dom.js';
import { undo } from './undo.js';

let trouble = ''; // stays until it is read
let focusHeir = byId('files-title');

/** Shows that something that was asked for could not be done. */
export function showTrouble(text) {
  trouble = text;
  announce(text);
  draw();
}

/** Shows offers from now on; Ctrl+Z takes them, too. */
export function showNotices() {
  const bar = byId('notice');
  undo.addEventListener('changed', () => {
    if (undo.latest) trouble = '';
    draw();
  });
  byId('notice-undo').addEventListener('click', takeBack);
  byId('notice-close').addEventListener('click', () => {
    trouble = '';
    undo.commit();
    draw();
  });
  addEventListener('keydown', (event) => {
    const { key, ctrlKey, metaKey, shiftKey, target } = event;
    if (key !== 'z' || !(ctrlKey || metaKey) || shiftKey || !undo.latest) return;
    if (target.matches('input:not([type=checkbox]), textarea')) return;
    event.preventDefault();
    takeBack();
  });
  for (const [comes, goes] of [
    ['pointerenter', 'pointerleave'],
    ['focusin', 'focusout'],
  ]) {
    bar.addEventListener(comes, () => undo.hold());
    bar.addEventListener(goes, () => undo.release());
  }
}

/** Puts the bar where it can be reached: beside a modal dialog nothing can. `heir` gets the focus it leaves. */
export function moveNotices(parent, heir) {
  parent.append(byId('notices'));
  focusHeir = heir;
}

function takeBack() {
  undo.undo();
  announce('Undone.');
}

function draw() {
  const { latest } = undo;
  const bar = byId('notice');
  const text = trouble || latest?.text || '';
  if (!text && bar.contains(document.activeElement)) focusHeir.focus();
  bar.hidden = !text;
  bar.classList.toggle('trouble', Boolean(trouble));
  byId('notice-undo').hidden = Boolean(trouble);
  setText(byId('notice-text'), text);
}
