#!/usr/bin/env python3
"""s3_origin.py - tests/s3/server.py for scripts/remote-bench.pl: s3_origin.py DIR LOG has in its bucket what is below DIR.

It adds what others ask for or what takes long there: listings of the first version, keys that stay sorted, bodies sent without the lock. Each request
is a line of LOG. /-/have?prefix=P&size=N says how many such objects there are, /-/drop?prefix=P forgets them.
"""
import bisect
import os
import sys
import time
import urllib.parse as url
from xml.sax.saxutils import escape

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/s3"))
import server  # noqa: E402


class Objects(dict):
    def __init__(self):
        super().__init__()
        self.keys_sorted = []

    def __setitem__(self, key, thing):
        if key not in self:
            bisect.insort(self.keys_sorted, key)
        super().__setitem__(key, thing)

    def pop(self, key, *default):
        if key in self:
            del self.keys_sorted[bisect.bisect_left(self.keys_sorted, key)]
        return super().pop(key, *default)

    def below(self, prefix):
        at = bisect.bisect_left(self.keys_sorted, prefix)
        return self.keys_sorted[at:bisect.bisect_left(self.keys_sorted, prefix + chr(0x10FFFF))]


objects = server.objects = Objects()
log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


class Handler(server.Handler):
    def handle_any(self):
        path, _, query = self.path.partition("?")
        if path.startswith("/-/"):
            return self.manage(path, dict(url.parse_qsl(query)))
        os.write(log, f"{self.command} {self.path}\n".encode())
        key = url.unquote(path).partition("/test/")[2]
        if self.command not in ("GET", "HEAD") or not key:
            return super().handle_any()
        try:
            self.check_signature(b"")
            self.get(key)
        except server.Refused as e:
            self.refuse(e)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def manage(self, path, query):
        with server.lock:
            keys = objects.below(query["prefix"])
            if path == "/-/drop":
                for key in keys:
                    objects.pop(key)
            keys = [key for key in keys if key in objects and len(objects[key].data) == int(query.get("size", -1))]
        self.answer(200, str(len(keys)).encode())

    def list(self):
        q = self.query
        if "uploads" in q or "location" in q:
            return super().list() if "uploads" in q else self.xml("<LocationConstraint>us-east-1</LocationConstraint>")
        prefix, delimiter = q.get("prefix", ""), q.get("delimiter", "")
        most = min(int(q.get("max-keys", 1000)), 1000)
        after = q.get("continuation-token") or q.get("marker") or q.get("start-after") or ""
        encode = url.quote_plus if q.get("encoding-type") == "url" else lambda name: escape(name.decode("utf-8", "surrogateescape"))
        keys, out, last = objects.keys_sorted, [], ""
        at = bisect.bisect_left(keys, max(prefix, after + "\0" if after else ""))
        if delimiter and after.endswith(delimiter):
            at = bisect.bisect_left(keys, after + chr(0x10FFFF))
        while at < len(keys) and keys[at].startswith(prefix) and len(out) < most:
            cut = keys[at].find(delimiter, len(prefix)) if delimiter else -1
            last = keys[at] if cut < 0 else keys[at][:cut + 1]
            out.append(self.entry(encode, keys[at], last, cut))
            at = at + 1 if cut < 0 else bisect.bisect_left(keys, last + chr(0x10FFFF))
        more = at < len(keys) and keys[at].startswith(prefix)
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken><NextMarker>{escape(last)}</NextMarker>" if more else ""
        coding = "<EncodingType>url</EncodingType>" if "encoding-type" in q else ""
        self.xml(f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>test</Name><Prefix>{escape(prefix)}</Prefix>'
                 f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{coding}{token}" + "".join(out) + "</ListBucketResult>")


def fill(top):
    for where, _, names in os.walk(top):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                thing = server.Thing(file.read(), {})
            thing.when = time.time() - 3600
            dict.__setitem__(objects, os.path.relpath(path, top), thing)
    objects.keys_sorted = sorted(objects)


fill(sys.argv[1])
server.Handler = Handler
server.Server().serve_forever()
