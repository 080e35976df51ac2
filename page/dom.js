// A little help with elements. Data becomes text and attributes, never markup.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A fresh copy of a template's one element, and its parts by their `data-part`. */
export function stamp(id) {
  const root = byId(id).content.firstElementChild.cloneNode(true);
  const parts = Object.fromEntries([...root.querySelectorAll('[data-part]')].map((part) => [part.dataset.part, part]));
  return { root, ...parts };
}

/** Puts one of the icons of index.html into an element that has one. */
export function setIcon(element, name) {
  element.querySelector('use').setAttribute('href', `#icon-${name}`);
}

/** Gives an element that shows only an icon its name. */
export function setLabel(element, label) {
  element.setAttribute('aria-label', label);
  element.title = label;
}

/** Sets text only where it differs: what a screen reader is reading stays. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Tells screen readers what happened; to be used for events, not for every percent. */
export const announce = (text) => setText(byId('status'), text);

/** Takes away what `elements` show by `hide`; if the focus was there, the nearest of their neighbours gets it, or `heir`. */
export function keepFocus(elements, hide, heir) {
  const focused = elements.some((element) => element.contains(document.activeElement));
  const neighbours = [...after(elements.at(-1)), ...before(elements[0])];
  hide();
  if (!focused) return;
  const next = neighbours.find((element) => element.isConnected && !element.hidden);
  (next?.querySelector('button:not([hidden])') ?? heir).focus();
}

function* after(element) {
  while ((element = element.nextElementSibling)) yield element;
}

function* before(element) {
  while ((element = element.previousElementSibling)) yield element;
}

const DOUBLE_CLICK_MS = 500;
let lastGuarded = -Infinity; // when a guarded click came last

/** Two quick clicks are one thought: what slides under the pointer after the first is not meant by the second. */
export function guardDoubleClicks(listener) {
  return (event) => {
    const again = event.detail > 0 && event.timeStamp - lastGuarded < DOUBLE_CLICK_MS;
    lastGuarded = event.timeStamp;
    if (!again) listener(event);
  };
}
