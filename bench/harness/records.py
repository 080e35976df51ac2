"""Fills a data folder with very many records: the server makes one finished and one unfinished upload, which are then
copied many times in its database, with all the columns that there are.

The copies have no bytes, which nothing reads while chunks are sent.
"""

import http.client
import json
import sqlite3

CHUNK = bytes(range(256)) * 40
BOUNDARY = "bench-boundary"


def make_templates(server):
    """Makes a finished and an unfinished upload, and returns their uuids."""
    return _upload(server, parts=3, send=3, finish=True), _upload(server, parts=52, send=10, finish=False)


def multiply(database, templates, finished, unfinished):
    """Copies each template many times in the database of a stopped server."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -1000000")
    connection.execute("BEGIN")
    columns = [row[1] for row in connection.execute("PRAGMA table_info(uploads)") if row[1] != "seq"]
    fresh = {"id": "randomblob(16)", "blob": "randomblob(16)", "user_id": "100000 + n.i % 1000"}
    values = ", ".join(fresh.get(column, column) for column in columns)
    for uuid, count in zip(templates, (finished, unfinished)):
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
            f" INSERT INTO uploads ({', '.join(columns)}) SELECT {values} FROM n, uploads WHERE id = ?",
            [bytes.fromhex(uuid.replace("-", ""))],
        )
    [template] = connection.execute("SELECT seq FROM uploads WHERE id = ?", [bytes.fromhex(templates[1].replace("-", ""))])
    columns = [row[1] for row in connection.execute("PRAGMA table_info(parts)") if row[1] != "upload"]
    connection.execute(
        f"INSERT INTO parts (upload, {', '.join(columns)}) SELECT u.seq, {', '.join('p.' + column for column in columns)}"
        " FROM uploads u, parts p WHERE u.state = 0 AND u.user_id >= 100000 AND p.upload = ?",
        template,
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    counts = dict(connection.execute("SELECT state, count(*) FROM uploads GROUP BY state"))
    connection.close()
    return counts


def newest_link(server):
    """The link of the caller's newest file."""
    return _request(server, "GET", "", None)["results"][0]["url"]


def _upload(server, parts, send, finish):
    uuid = None
    for index in range(send):
        fields = {"partindex": index, "totalparts": parts} | ({"uuid": uuid} if uuid else {})
        uuid = _request(server, "POST", "", _form(fields, CHUNK))["file_uuid"]
    if finish:
        _request(server, "POST", "?done", _form({"uuid": uuid, "filename": "clip.bin"}, None))
    return uuid


def _form(fields, file):
    body = b""
    for name, value in fields.items():
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    if file is not None:
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="clip.bin"\r\n\r\n'.encode() + file + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def _request(server, method, query, body):
    connection = http.client.HTTPConnection(server.address)
    headers = {"Authorization": f"Bearer {server.tokens[0]}", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection.request(method, server.path + query, body, headers)
    reply = connection.getresponse()
    text = reply.read()
    connection.close()
    if reply.status != 200:
        raise RuntimeError(f"{method} {query}: {reply.status} {text[:200]!r}")
    return json.loads(text)
