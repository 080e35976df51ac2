// One tab uploads a remembered file, never two. Web Locks where the browser has them; on plain http elsewhere than on
// localhost it has none, and tabs ask each other.

const ANSWER_WITHIN_MS = 250;
const held = new Set();
const channel = navigator.locks ? null : new BroadcastChannel('haversack-claims');

channel?.addEventListener('message', ({ data }) => {
  if (data.asks && held.has(data.asks)) channel.postMessage({ holds: data.asks });
});

/**
 * Resolves with a function that gives the claim up, as soon as no other tab holds it. Without Web Locks it never
 * resolves if another tab holds it now.
 */
export function claim(id) {
  return channel ? ask(id) : lock(id);
}

function lock(id) {
  return new Promise((granted, failed) => {
    const name = `haversack-upload-${id}`;
    navigator.locks.request(name, () => new Promise((release) => granted(release))).catch(failed);
  });
}

function ask(id) {
  return new Promise((granted) => {
    const settle = setTimeout(() => {
      channel.removeEventListener('message', hear);
      held.add(id);
      granted(() => held.delete(id));
    }, ANSWER_WITHIN_MS);
    const hear = ({ data }) => {
      if (data.holds === id) clearTimeout(settle);
    };
    channel.addEventListener('message', hear);
    channel.postMessage({ asks: id });
  });
}
