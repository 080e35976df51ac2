// Actions that can be undone for a few seconds before they are carried out. Knows no element of the page, and not what
// the actions do.

/** How long an action can be undone. */
const OFFER_MS = 8_000;

/** Dispatches `changed` when the latest offer may have changed. */
class Undo extends EventTarget {
  #offers = []; // oldest first

  constructor() {
    super();
    // Closing or reloading the page doesn't undo anything, so everything is carried out.
    addEventListener('pagehide', () => this.commit());
  }

  /** The offer that `undo` would take, or null. */
  get latest() {
    return this.#offers.at(-1) ?? null;
  }

  /**
   * Offers to undo an action that `text` describes. `restore()` undoes it. `commit()` carries it out, and may be called
   * while the page is being closed.
   */
  offer({ text, restore, commit }) {
    const offer = { text, restore, commit };
    this.#offers.push(offer);
    this.#arm(offer);
    this.dispatchEvent(new Event('changed'));
  }

  /** Undoes the latest action. */
  undo() {
    const offer = this.#offers.pop();
    clearTimeout(offer?.timer);
    offer?.restore();
    this.dispatchEvent(new Event('changed'));
  }

  /** Stops the time of all offers, because the user may be about to take one. */
  hold() {
    for (const offer of this.#offers) clearTimeout(offer.timer);
  }

  /** Restarts the time of all offers. */
  release() {
    for (const offer of this.#offers) this.#arm(offer);
  }

  /** Carries out all actions now. */
  commit() {
    const offers = this.#offers.splice(0);
    for (const offer of offers) {
      clearTimeout(offer.timer);
      offer.commit();
    }
    if (offers.length) this.dispatchEvent(new Event('changed'));
  }

  #arm(offer) {
    clearTimeout(offer.timer);
    offer.timer = setTimeout(() => {
      this.#offers = this.#offers.filter((other) => other !== offer);
      this.dispatchEvent(new Event('changed'));
      offer.commit();
    }, OFFER_MS);
  }
}

export const undo = new Undo();
