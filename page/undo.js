// What was just taken away, and can be put back for a few seconds; only then it is carried out. Knows no element of the
// page, and not what is taken away.

/** How long it can be put back. */
const OFFER_MS = 8_000;

/** Says `changed` when another offer is the latest. */
class Undo extends EventTarget {
  #offers = []; // oldest first

  constructor() {
    super();
    // Who closes or reloads the page meant what was said: it is carried out, not forgotten.
    addEventListener('pagehide', () => this.commit());
  }

  /** What `undo` would put back, or null. */
  get latest() {
    return this.#offers.at(-1) ?? null;
  }

  /**
   * Offers to put back what was taken away: `text` says what that was, `restore()` puts it back, `commit()` carries it
   * out, although the page may be going.
   */
  offer({ text, restore, commit }) {
    const offer = { text, restore, commit };
    this.#offers.push(offer);
    this.#arm(offer);
    this.dispatchEvent(new Event('changed'));
  }

  /** Puts back what was taken away last. */
  undo() {
    const offer = this.#offers.pop();
    clearTimeout(offer?.timer);
    offer?.restore();
    this.dispatchEvent(new Event('changed'));
  }

  /** Waits with everything: somebody is about to decide. */
  hold() {
    for (const offer of this.#offers) clearTimeout(offer.timer);
  }

  /** Lets time go on, from the start. */
  release() {
    for (const offer of this.#offers) this.#arm(offer);
  }

  /** Carries everything out now. */
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
