// The vendor's own uploader of private message media, as published. Only its surroundings are ours: its context (the
// server's address and the token), its texts, and the reporting of its results to the test.
// With `bare` in the options, only its inner MessageChunkUploader is used, in a provider with the same settings and
// next to a listener of ours: the whole component shows a fixed text for a refused chunk and doesn't pass on the reply.
import ChunkedUploady from '@rpldy/chunked-uploady';
import UploadButton from '@rpldy/upload-button';
import { useItemErrorListener } from '@rpldy/uploady';
import { Endpoints, http } from '@selfcommunity/api-services';
import { SCContext } from '@selfcommunity/react-core';
import MessageMediaUploader from '@selfcommunity/react-ui/components/PrivateMessageEditor/MessageMediaUploader/index.js';
import MessageChunkUploader from '@selfcommunity/react-ui/shared/MessageChunkUploader/index.js';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { IntlProvider } from 'react-intl';

const { portal, token, bare } = JSON.parse(new URLSearchParams(location.search).get('options'));
http.setBasePortal(portal);
http.setAuthorizeToken(token);
const context = { settings: { portal, session: { authToken: { accessToken: token } } } };

const texts = {
  'ui.common.error': 'The upload failed.',
  'ui.common.fileUpload.error': 'This file was refused.',
  'ui.shared.messageChunkUploader.error': 'Not uploaded: {filename}',
  'ui.privateMessage.editor.media.uploader.msg': 'Drop files here',
};

/** The replies that a message would contain, each with the bytes that the component actually sent for the File. */
async function reportFiles(files) {
  if (!files.length) return;
  const described = files.map(async ({ file, ...reply }) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    let binary = '';
    for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
    return { reply, name: file.name, type: file.type, base64: btoa(binary) };
  });
  report('files', await Promise.all(described));
}

function RefusalListener({ show }) {
  useItemErrorListener((item) => {
    const { status, response } = item.uploadResponse.chunkUploadResponse;
    show(response?.data?.error ?? 'network error');
    report('refused', { status, body: response?.data ?? null });
  });
  return null;
}

function Bare() {
  const [message, show] = useState('');
  const destination = {
    url: `${portal}${Endpoints.PrivateMessageUploadMediaInChunks.url()}`,
    headers: { Authorization: `Bearer ${token}` },
    method: Endpoints.PrivateMessageUploadMediaInChunks.method,
  };
  return (
    <ChunkedUploady destination={destination} chunkSize={204800} multiple chunked maxConcurrent={2}>
      <MessageChunkUploader
        onSuccess={(reply) => reportFiles([reply])}
        onProgress={() => {}}
        onError={(chunk, text) => report('error', text)}
      />
      <RefusalListener show={show} />
      <UploadButton />
      <p role="alert">{message}</p>
    </ChunkedUploady>
  );
}

const whole = (
  <MessageMediaUploader forwardMessageFile={reportFiles} isUploading={() => {}} onClose={() => {}} />
);

createRoot(document.querySelector('#root')).render(
  <SCContext.Provider value={context}>
    <IntlProvider locale="en" messages={texts}>
      {bare ? <Bare /> : whole}
    </IntlProvider>
  </SCContext.Provider>,
);
report('ready');
