// Fine Uploader's core, set up as on an ordinary page. Its callbacks are reported to the test.
// `options` in the query: endpoint, token, chunking, retry, resume and deleteMethod; `pauseAfterBytes` pauses once.
import qq from 'fine-uploader/lib/core/traditional';

const options = JSON.parse(new URLSearchParams(location.search).get('options'));
const headers = { Authorization: `Bearer ${options.token}` };
let paused = !options.pauseAfterBytes;

const uploader = new qq.FineUploaderBasic({
  request: { endpoint: options.endpoint, customHeaders: headers },
  cors: { expected: true },
  chunking: options.chunking ?? {},
  retry: options.retry ?? {},
  resume: { enabled: Boolean(options.resume) },
  deleteFile: {
    enabled: Boolean(options.deleteMethod),
    method: options.deleteMethod ?? 'DELETE',
    endpoint: options.endpoint,
    customHeaders: headers,
  },
  callbacks: {
    onUploadChunkSuccess: (id, chunk) => report('chunk', chunk.partIndex),
    onProgress(id, name, sent) {
      if (paused || sent <= options.pauseAfterBytes) return;
      paused = uploader.pauseUpload(id);
      report('paused', uploader.getUuid(id));
    },
    onResume: (id, name, chunk) => report('resume', { uuid: uploader.getUuid(id), index: chunk.part }),
    onAutoRetry: (id, name, attempt) => report('retry', attempt),
    onComplete: (id, name, response) => report('complete', { uuid: uploader.getUuid(id), response }),
    onError(id, name, reason) {
      document.querySelector('#message').textContent = reason;
      report('error', reason);
    },
    onDeleteComplete: (id, xhr, isError) => report('deleted', { status: xhr.status, isError }),
  },
});

const input = document.createElement('input');
input.type = 'file';
input.multiple = true;
input.addEventListener('change', () => uploader.addFiles(input.files));
document.querySelector('#root').append(input);

window.uploader = uploader;
report('ready');
