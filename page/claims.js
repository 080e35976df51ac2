// Ensures that only one tab continues a remembered upload. Uses Web Locks if the browser has them. On plain http it has
// them only for localhost; elsewhere, tabs ask each other.

const REPLY_WITHIN_MS = 250;
const held = new Set();
const channel = navigator.locks ? null : new BroadcastChannel('haversack-claims');

channel?.addEventListener('message', ({ data }) => {
  if (data.asks && held.has(data.asks)) channel.postMessage({ holds: data.asks });
});

/**
 * Resolves once no other tab holds the claim, with a function that releases it. Without Web Locks, it never resolves if
 * another tab holds the claim now.
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
    const timer = setTimeout(() => {
      channel.removeEventListener('message', onReply);
      held.add(id);
      granted(() => held.delete(id));
    }, REPLY_WITHIN_MS);
    const onReply = ({ data }) => {
      if (data.holds === id) clearTimeout(timer);
    };
    channel.addEventListener('message', onReply);
    channel.postMessage({ asks: id });
  });
}
