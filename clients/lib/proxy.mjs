// A TCP proxy that breaks connections at chosen byte counts and works normally afterwards.
// It knows nothing of HTTP, so it cuts connections as a real network would.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * Forwards to `target` (a URL). `cuts` are numbers of bytes sent by clients over all connections together: when one is
 * reached, every connection is dropped, and counting starts again for the next one.
 */
export async function startProxy(target, cuts = []) {
  const { hostname, port } = new URL(target);
  const pairs = new Set();
  const pending = [...cuts];
  let sent = 0;

  const dropAll = () => {
    for (const [client, upstream] of pairs) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
  };

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    const pair = [client, upstream];
    pairs.add(pair);
    const drop = () => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of pair) socket.on('error', drop).on('close', drop);
    client.on('data', (bytes) => {
      sent += bytes.length;
      if (!pending.length || sent < pending[0]) return;
      pending.shift();
      sent = 0;
      dropAll();
    });
    client.pipe(upstream);
    upstream.pipe(client);
  });

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Number of cuts that have not happened yet. */
    cutsLeft: () => pending.length,
    async close() {
      dropAll();
      server.close();
      await once(server, 'close');
    },
  };
}
