// Helpers for elements. Data becomes text and attributes, never markup.

/** Returns the element with this id. */
export const byId = (id) => document.getElementById(id);

/** Returns a copy of the only element of a template, and its parts by their `data-part`. */
export function stamp(id) {
  const root = byId(id).content.firstElementChild.cloneNode(true);
  const parts = Object.fromEntries([...root.querySelectorAll('[data-part]')].map((part) => [part.dataset.part, part]));
  return { root, ...parts };
}

/** Changes the icon of an element to another one from index.html. */
export function setIcon(element, name) {
  element.querySelector('use').setAttribute('href', `#icon-${name}`);
}

/** Names an element that shows only an icon. */
export function setLabel(element, label) {
  element.setAttribute('aria-label', label);
  element.title = label;
}

/** Sets an element's text only if it differs, so that a screen reader reading it is not interrupted. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Tells screen readers what happened. For events, not for every percent of progress. */
export const announce = (text) => setText(byId('status'), text);

/** Hides `elements` with `hide`. If one of them had the focus, their nearest neighbour gets it, or else `fallback`. */
export function keepFocus(elements, hide, fallback) {
  const focused = elements.some((element) => element.contains(document.activeElement));
  const neighbours = [...after(elements.at(-1)), ...before(elements[0])];
  hide();
  if (!focused) return;
  const next = neighbours.find((element) => element.isConnected && !element.hidden);
  (next?.querySelector('button:not([hidden])') ?? fallback).focus();
}

function* after(element) {
  while ((element = element.nextElementSibling)) yield element;
}

function* before(element) {
  while ((element = element.previousElementSibling)) yield element;
}

const DOUBLE_CLICK_MS = 500;
let lastGuarded = -Infinity; // time of the last guarded click

/** Ignores the second click of a double click, which would hit whatever the first one moved under the pointer. */
export function guardDoubleClicks(listener) {
  return (event) => {
    const isSecond = event.detail > 0 && event.timeStamp - lastGuarded < DOUBLE_CLICK_MS;
    lastGuarded = event.timeStamp;
    if (!isSecond) listener(event);
  };
}
