"""Uploads a file by tuspy, as the test that runs it says on standard input (JSON), and prints the upload's address."""

import json
import sys

from tusclient import client
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.storage import filestorage


def main():
    wanted = json.load(sys.stdin)
    tus = client.TusClient(wanted["endpoint"], headers={"Authorization": f"Bearer {wanted['token']}"})
    stored = wanted.get("storage")
    options = dict(wanted["options"])
    if stored:
        options.update(store_url=True, url_storage=filestorage.FileStorage(stored))
    uploader = tus.uploader(wanted["file"], **options)
    begun_at = uploader.offset
    try:
        uploader.upload(stop_at=wanted.get("stop_at"))
    except (TusUploadFailed, TusCommunicationError) as error:
        print(json.dumps({"status": error.status_code, "body": error.response_content.decode()}))
        return
    print(json.dumps({"url": uploader.url, "begun_at": begun_at, "offset": uploader.offset}))


main()
