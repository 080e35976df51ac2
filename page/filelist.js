// The files on the page, in the order in which they are shown. Knows their tiles; knows nothing about requests.
import { byId, keepFocus } from './dom.js';

/** Dispatches `changed` when the shown files have changed. */
class FileList extends EventTarget {
  #entries = new Map(); // uuid -> {file, tile}

  /** The files that are shown, in order. */
  get shown() {
    return this.all.filter(({ tile }) => !tile.root.hidden).map(({ file }) => file);
  }

  /** All files, including hidden ones, with their tiles. */
  get all() {
    return [...byId('file-rows').children].map(({ dataset }) => this.#entries.get(dataset.uuid));
  }

  has(uuid) {
    return this.#entries.has(uuid);
  }

  tileOf(uuid) {
    return this.#entries.get(uuid)?.tile;
  }

  /** Adds a file, or replaces its tile. A new file is placed first, any other one last. */
  add(file, tile, isNew) {
    tile.root.dataset.uuid = file.uuid;
    const known = this.tileOf(file.uuid);
    if (known) known.root.replaceWith(tile.root);
    else byId('file-rows')[isNew ? 'prepend' : 'append'](tile.root);
    this.#entries.set(file.uuid, { file, tile });
    this.#notify();
  }

  /** Returns the nearest shown file in the direction of `step` (1: next, -1: previous), or null. */
  neighbour(uuid, step) {
    const { all } = this;
    let at = all.findIndex(({ file }) => file.uuid === uuid);
    while (all[(at += step)]) if (!all[at].tile.root.hidden) return all[at].file;
    return null;
  }

  /** Hides files for now. If one of them had the focus, a neighbour gets it. */
  hide(files) {
    const roots = files.map(({ uuid }) => this.tileOf(uuid).root);
    keepFocus(roots, () => roots.forEach((root) => (root.hidden = true)), byId('choose'));
    this.#notify();
  }

  /** Shows hidden files again, where they were. */
  show(files) {
    for (const { uuid } of files) {
      const tile = this.tileOf(uuid);
      if (tile) tile.root.hidden = false;
    }
    this.#notify();
  }

  /** Removes files. */
  remove(files) {
    for (const { uuid } of files) {
      this.tileOf(uuid)?.root.remove();
      this.#entries.delete(uuid);
    }
    this.#notify();
  }

  clear() {
    this.remove(this.all.map(({ file }) => file));
  }

  #notify() {
    this.dispatchEvent(new Event('changed'));
  }
}

export const fileList = new FileList();
