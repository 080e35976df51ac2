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

/** Takes an element away; if it had the focus, `heir` gets it. */
export function removeKeepingFocus(element, heir) {
  const focused = element.contains(document.activeElement);
  const next = element.nextElementSibling ?? element.previousElementSibling;
  element.remove();
  if (focused) (next?.querySelector('button:not([hidden])') ?? heir).focus();
}

/** The icon for a media type. */
export function iconOf(type) {
  const [kind] = type.split('/');
  if (['image', 'video', 'audio', 'text'].includes(kind)) return kind;
  if (type === 'application/pdf' || /document|sheet|presentation|msword|rtf/.test(type)) return 'text';
  return /zip|tar|compressed|rar|gzip/.test(type) ? 'archive' : 'file';
}
