// tus-js-client, set up as on an ordinary page. Its callbacks are reported to the test.
// `options` in the query: endpoint, token, `upload` (options of the client), `asStream`, `pauseAfterBytes`, and
// `resume` to continue an earlier upload of the same file.
import { Upload } from 'tus-js-client';

const options = JSON.parse(new URLSearchParams(location.search).get('options'));
let pauseAt = options.pauseAfterBytes ?? Infinity;

async function send(file) {
  const upload = new Upload(options.asStream ? file.stream().getReader() : file, {
    endpoint: options.endpoint,
    headers: { Authorization: `Bearer ${options.token}` },
    metadata: { filename: file.name, filetype: file.type },
    ...options.upload,
    onBeforeRequest: (request) =>
      report('request', { method: request.getMethod(), offset: request.getHeader('Upload-Offset') }),
    onChunkComplete(size, accepted) {
      if (accepted < pauseAt) return;
      pauseAt = Infinity;
      upload.abort().then(() => report('paused', { url: upload.url, accepted }));
    },
    onError: (error) => report('error', error.message),
    onSuccess: ({ lastResponse }) =>
      report('complete', {
        url: upload.url,
        fileUuid: lastResponse.getHeader('File-Uuid'),
        fileUrl: lastResponse.getHeader('File-Url'),
      }),
  });
  if (options.resume) {
    const [previous] = await upload.findPreviousUploads();
    if (previous) upload.resumeFromPreviousUpload(previous);
  }
  upload.start();
}

const input = document.createElement('input');
input.type = 'file';
input.multiple = true;
input.addEventListener('change', () => [...input.files].forEach(send));
document.querySelector('#root').append(input);
report('ready');
