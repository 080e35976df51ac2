// Bundles the pages and serves them from a separate port, so that the browser sees two origins and enforces CORS.
import { build } from 'esbuild';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';

const shell = (name, styles) => `<!doctype html><meta charset="utf-8"><title>client</title><link rel="icon" href="data:,">
${styles ? `<link rel="stylesheet" href="/${name}.css">` : ''}
<div id="root"></div><p id="message"></p><script type="module" src="/${name}.js"></script>`;

// The entry point of pdf.js for bundlers is CommonJS but locates its worker by `import.meta.url`. Webpack allows that
// mixture and esbuild doesn't, so the page's address is used instead, and the worker is served at the resulting path.
const pdfWorkerAddress = {
  name: 'pdf-worker-address',
  setup({ onLoad }) {
    onLoad({ filter: /pdfjs-dist[\\/]webpack\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace('import.meta.url', 'location.href'),
    }));
  },
};
const pdfWorker = new URL('../node_modules/pdfjs-dist/build/pdf.worker.js', import.meta.url);

/** Serves `pages/<name>` as `/<name without extension>`. Returns its origin. */
export function servePage(source) {
  const entryPoints = [fileURLToPath(new URL(`../pages/${source}`, import.meta.url))];
  return serve(source.replace(/\.\w+$/, ''), { entryPoints });
}

/** Serves a page that runs this code, JSX allowed, and then reports that it is ready. */
export function serveCode(code) {
  const resolveDir = fileURLToPath(new URL('..', import.meta.url));
  return serve('code', { stdin: { contents: `${code}\nreport('ready');`, resolveDir, loader: 'jsx' } });
}

async function serve(name, entry) {
  const bundle = await build({
    ...entry,
    bundle: true,
    outdir: '.', // needed so that styles are separate from the script; nothing is written
    format: 'esm',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    plugins: [pdfWorkerAddress],
    logLevel: 'error',
    write: false,
  });
  const output = (extension) => bundle.outputFiles.find(({ path }) => path.endsWith(extension))?.contents;
  const styles = output('.css');
  const files = new Map([
    [`/${name}`, ['text/html', shell(name, styles)]],
    [`/${name}.js`, ['text/javascript', output('.js')]],
    [`/${name}.css`, ['text/css', styles ?? null]],
    ['/build/pdf.worker.js', ['text/javascript', () => readFile(pdfWorker)]],
  ]);
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://pages');
    const [type, body] = files.get(pathname) ?? ['text/plain', null];
    response.writeHead(body === null ? 404 : 200, { 'Content-Type': type });
    response.end(typeof body === 'function' ? await body() : body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/${name}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
