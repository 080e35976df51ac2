// Uppy with its dashboard, tus, and the plugin that keeps files across a reload. `options` in the query: endpoint,
// token and `tus` (options of the tus plugin).
import Uppy from '@uppy/core';
import Dashboard from '@uppy/dashboard';
import GoldenRetriever from '@uppy/golden-retriever';
import Tus from '@uppy/tus';
import '@uppy/core/css/style.min.css';
import '@uppy/dashboard/css/style.min.css';

const options = JSON.parse(new URLSearchParams(location.search).get('options'));
const uppy = new Uppy()
  .use(Dashboard, { inline: true, target: '#root' })
  .use(Tus, { endpoint: options.endpoint, headers: { Authorization: `Bearer ${options.token}` }, ...options.tus })
  .use(GoldenRetriever);

uppy.on('restored', () => report('restored', uppy.getFiles().map(({ name }) => name)));
uppy.on('upload-progress', (file, { bytesUploaded }) => report('progress', { name: file.name, bytesUploaded }));
uppy.on('upload-error', (file, error) => report('error', error.message));
uppy.on('complete', ({ successful, failed }) =>
  report('complete', {
    failed: failed.map(({ name }) => name),
    uploaded: successful.map(({ name, uploadURL }) => ({ name, url: uploadURL })),
  }),
);
window.uppy = uppy;
report('ready');
