#!/usr/bin/env python3
"""server.py - what S3 says of its protocol, in memory: signatures, conditions, checksums, copies and parts are checked.

It serves on the listening socket that is its standard input. The bucket is "test", the key "KEY" with the secret "SECRET",
the region "us-east-1". Its argument is some of: plain (conditions of PUT are ignored, as older servers do), parts (small parts may
stand anywhere), etags (they are no MD5), last (what a listing says of its encoding comes behind its keys, as MinIO has it), late (the end of an upload
ignores conditions), careful (it refuses parts copied of any version, and uploads onto any), sealed (what is stored has to be encrypted),
payer (who asks pays), ceph (If-Match of PUT holds for a tag without its quotes alone), never (for none), tls (with cert.pem and key.pem of the directory that is its second argument). The session "expired" is. The tag of
what a key of KMS encrypts is no MD5. A POST to "/" is for STS, which knows AssumeRole.
"""
import base64
import hashlib
import hmac
import socket
import ssl
import sys
import threading
import time
import urllib.parse as url
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree
from xml.sax.saxutils import escape

HOW = sys.argv[1].split(",") if len(sys.argv) > 1 else []
PLAIN, PARTS, ETAGS, LAST = ("plain" in HOW, "parts" in HOW, "etags" in HOW, "last" in HOW)
LATE, CAREFUL, SEALED, PAYER = ("late" in HOW, "careful" in HOW, "sealed" in HOW, "payer" in HOW)
OWN = ("x-amz-storage-class", "x-amz-server-side-encryption", "x-amz-website-redirect-location")  # do not come along with a copy
KEPT = OWN + ("x-amz-meta-", "content-type", "content-encoding", "cache-control")
PART_MIN = 5 << 20
lock = threading.Lock()
objects = {}  # key: Thing
uploads = {}  # id: (key, headers, {number: Thing})
counter = [0]


class Refused(Exception):
    def __init__(self, status, code, more=""):
        super().__init__(code)
        self.status, self.code, self.more = status, code, more


class Thing:
    def __init__(self, data, headers, etag=None):
        self.data, self.headers, self.when = data, headers, time.time()
        counter[0] += 1
        if headers.get(OWN[1]) == "aws:kms":
            etag = hashlib.md5(b"%d" % counter[0]).hexdigest() + (etag or "")[32:]
        self.etag = '"%s"' % (etag or (f"v{counter[0]}" if ETAGS else hashlib.md5(data).hexdigest()))


def kept(headers):
    if SEALED and OWN[1] not in (k.lower() for k in headers):
        raise Refused(403, "AccessDenied")
    found = {k.lower(): v for k, v in headers.items() if k.lower().startswith(KEPT)}
    if found.get("x-amz-server-side-encryption") != "aws:kms" and "x-amz-server-side-encryption-aws-kms-key-id" in found:
        raise Refused(400, "InvalidArgument")
    return found


def sha(data):
    return hashlib.sha256(data).hexdigest()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def quote(text):
    return url.quote(text, safe="-._~")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    # ---- checks

    def check_signature(self, body):
        given = self.headers.get("Authorization")
        if given is None:
            raise Refused(403, "AccessDenied")
        fields = dict(part.strip().split("=", 1) for part in given.split(" ", 1)[1].split(","))
        user, day, region, service, end = fields["Credential"].split("/")
        if user != "KEY":
            raise Refused(403, "InvalidAccessKeyId")
        if self.headers.get("x-amz-security-token") == "expired":
            raise Refused(400, "ExpiredToken")
        if region != "us-east-1":
            raise Refused(400, "AuthorizationHeaderMalformed", "<Region>us-east-1</Region>")
        names = fields["SignedHeaders"].split(";")
        for name in self.headers:
            if name.lower().startswith("x-amz-") and name.lower() not in names:
                raise Refused(403, "AccessDenied", "<Message>not signed: %s</Message>" % name)
        if service != ("sts" if self.path == "/" else "s3"):
            raise Refused(403, "SignatureDoesNotMatch")
        said = self.headers["x-amz-content-sha256"] if service == "s3" else sha(body)
        if said not in ("UNSIGNED-PAYLOAD", sha(body)):
            raise Refused(400, "XAmzContentSHA256Mismatch")
        stamp = self.headers["x-amz-date"]
        asked = time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.timezone
        if abs(asked - time.time()) > 900:
            raise Refused(403, "RequestTimeTooSkewed")
        path, _, query = self.path.partition("?")
        pairs = [pair.partition("=") for pair in query.split("&")] if query else []
        canonical = "\n".join([
            self.command, quote_path(url.unquote(path, errors="surrogateescape")),
            "&".join(f"{quote_text(k)}={quote_text(v)}" for k, _, v in sorted(pairs)),
            "".join("%s:%s\n" % (n, " ".join(self.headers[n].split())) for n in sorted(names)), ";".join(sorted(names)), said])
        scope = f"{day}/{region}/{service}/{end}"
        key = mac(mac(mac(mac(b"AWS4SECRET", day), region), service), end)
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, sha(canonical.encode("utf-8", "surrogateescape"))])
        if hmac.new(key, text.encode(), hashlib.sha256).hexdigest() != fields["Signature"]:
            raise Refused(403, "SignatureDoesNotMatch")

    def check_conditions(self, key):
        now = objects.get(key)
        if self.headers.get("If-None-Match") == "*" and now:
            raise Refused(412, "PreconditionFailed")
        wanted = self.headers.get("If-Match")
        if wanted and not now:
            raise Refused(404, "NoSuchKey")
        if wanted and wanted != now.etag:
            raise Refused(412, "PreconditionFailed")

    def put_conditions(self, key):
        wanted = self.headers.get("If-Match")
        if "ceph" in HOW and wanted and key in objects:
            if wanted != objects[key].etag.strip('"'):
                raise Refused(412, "PreconditionFailed")
        elif "never" in HOW and wanted:
            raise Refused(412, "PreconditionFailed")
        elif not PLAIN:
            self.check_conditions(key)

    def source(self):
        bucket, _, key = url.unquote(self.headers["x-amz-copy-source"].lstrip("/"), errors="surrogateescape").partition("/")
        if bucket != "test":
            raise Refused(404, "NoSuchBucket")
        thing = objects.get(key)
        if not thing:
            raise Refused(404, "NoSuchKey")
        wanted = self.headers.get("x-amz-copy-source-if-match")
        if wanted and wanted != thing.etag:
            raise Refused(412, "PreconditionFailed")
        return key, thing

    # ---- answers

    def answer(self, status, data=b"", headers=None, length=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def xml(self, text):
        self.answer(200, ('<?xml version="1.0" encoding="UTF-8"?>\n' + text).encode(), {"Content-Type": "application/xml"})

    def assume(self, form):
        """AssumeRole of STS. The session says for which role, by whom, and with what."""
        if form.get("Action") != "AssumeRole" or form.get("Version") != "2011-06-15" or "RoleSessionName" not in form:
            raise Refused(400, "ValidationError")
        if form["RoleArn"].endswith("/denied"):
            raise Refused(403, "AccessDenied", "<Message>topsecret</Message>")
        said = [form["RoleArn"], self.headers.get("x-amz-security-token", ""), form.get("ExternalId", ""), form.get("DurationSeconds", "")]
        self.xml('<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
                 "<AccessKeyId>KEY</AccessKeyId><SecretAccessKey>SECRET</SecretAccessKey><SessionToken>" + escape("|".join(said)) +
                 "</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>")

    def refuse(self, e):
        body = f'<?xml version="1.0"?>\n<Error><Code>{e.code}</Code>{e.more}</Error>'.encode()
        self.answer(e.status, body, length=0 if self.command == "HEAD" else None)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        self.query = dict(url.parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))
        bucket, _, key = url.unquote(path, errors="surrogateescape").lstrip("/").partition("/")
        try:
            self.check_signature(body)
            if self.path == "/" and self.command == "POST":
                return self.assume(dict(url.parse_qsl(body.decode())))
            if bucket != "test":
                raise Refused(404, "NoSuchBucket")
            if PAYER and self.headers.get("x-amz-request-payer") != "requester":
                raise Refused(403, "AccessDenied")
            said = self.headers.get("Content-MD5")
            if said and said != base64.b64encode(hashlib.md5(body).digest()).decode():
                raise Refused(400, "BadDigest")
            if len(key.encode("utf-8", "surrogateescape")) > 1024:
                raise Refused(400, "KeyTooLongError")
            with lock:
                self.obey(key, body)
        except Refused as e:
            self.refuse(e)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def obey(self, key, body):
        q, method = self.query, self.command
        if not key:
            return self.delete_many(body) if method == "POST" and "delete" in q else self.list()
        if method in ("GET", "HEAD"):
            return self.get(key)
        if method == "PUT":
            return self.put_part(body) if "uploadId" in q else self.put(key, body)
        if method == "POST":
            return self.begin_upload(key) if "uploads" in q else self.complete(key, body)
        if "uploadId" in q:
            if uploads.pop(q["uploadId"], None) is None:
                raise Refused(404, "NoSuchUpload")
        else:
            objects.pop(key, None)
        return self.answer(204)

    # ---- objects

    def get(self, key):
        if key not in objects:
            raise Refused(404, "NoSuchKey")
        self.check_conditions(key)
        thing = objects[key]
        headers = dict(thing.headers, ETag=thing.etag)
        headers["Last-Modified"] = formatdate(thing.when, usegmt=True)
        data, status = thing.data, 200
        if self.headers.get("Range"):
            first, _, last = self.headers["Range"][6:].partition("-")
            first, last = int(first), min(int(last or len(data)), len(data) - 1)
            if first >= len(data):
                raise Refused(416, "InvalidRange")
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first:last + 1], 206
        self.answer(status, data, headers)

    def put(self, key, body):
        self.put_conditions(key)
        if "x-amz-copy-source" not in self.headers:
            objects[key] = Thing(body, kept(self.headers))
            return self.answer(200, headers={"ETag": objects[key].etag})
        source, thing = self.source()
        replace = self.headers.get("x-amz-metadata-directive") == "REPLACE"
        if source == key and not replace:
            raise Refused(400, "InvalidRequest")
        headers = kept(self.headers)
        if not replace:
            headers = {k: v for k, v in headers.items() if k.startswith(OWN)}
            headers.update((k, v) for k, v in thing.headers.items() if not k.startswith(OWN))
        objects[key] = Thing(thing.data, headers)
        return self.copied("CopyObjectResult", objects[key])

    def copied(self, name, thing):
        when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(thing.when))
        self.xml(f"<{name}><LastModified>{when}</LastModified><ETag>{escape(thing.etag)}</ETag></{name}>")

    def delete_many(self, body):
        if not self.headers.get("Content-MD5"):
            raise Refused(400, "InvalidRequest")
        for node in ElementTree.fromstring(body).iter():
            if node.tag.endswith("Key"):
                objects.pop(node.text, None)
        self.xml("<DeleteResult></DeleteResult>")

    # ---- parts

    def begin_upload(self, key):
        counter[0] += 1
        uploads[f"u{counter[0]}"] = (key, kept(self.headers), {})
        self.xml(f"<InitiateMultipartUploadResult><UploadId>u{counter[0]}</UploadId></InitiateMultipartUploadResult>")

    def upload(self):
        if self.query["uploadId"] not in uploads:
            raise Refused(404, "NoSuchUpload")
        return uploads[self.query["uploadId"]]

    def put_part(self, body):
        parts = self.upload()[2]
        number = int(self.query["partNumber"])
        if "x-amz-copy-source" not in self.headers:
            parts[number] = Thing(body, {})
            return self.answer(200, headers={"ETag": parts[number].etag})
        if CAREFUL and not self.headers.get("x-amz-copy-source-if-match"):
            raise Refused(400, "InvalidRequest")
        data = self.source()[1].data
        if "x-amz-copy-source-range" in self.headers:
            first, _, last = self.headers["x-amz-copy-source-range"][6:].partition("-")
            if int(last) >= len(data):
                raise Refused(400, "InvalidArgument")
            data = data[int(first):int(last) + 1]
        parts[number] = Thing(data, {})
        return self.copied("CopyPartResult", parts[number])

    def complete(self, key, body):
        name, headers, parts = self.upload()
        if not LATE:
            self.put_conditions(key)
        if CAREFUL and key in objects and not self.headers.get("If-Match"):
            raise Refused(400, "InvalidRequest")
        chosen = []
        for node in ElementTree.fromstring(body):
            said = {child.tag.rpartition("}")[2]: child.text for child in node}
            part = parts.get(int(said["PartNumber"]))
            if part is None or part.etag.strip('"') != said["ETag"].strip('"'):
                raise Refused(400, "InvalidPart")
            chosen.append(part)
        if not PARTS and any(len(part.data) < PART_MIN for part in chosen[:-1]):
            raise Refused(400, "EntityTooSmall")
        sums = b"".join(hashlib.md5(part.data).digest() for part in chosen)
        objects[name] = Thing(b"".join(part.data for part in chosen), headers,
                              hashlib.md5(sums).hexdigest() + f"-{len(chosen)}")
        del uploads[self.query["uploadId"]]
        self.xml(f"<CompleteMultipartUploadResult><ETag>{escape(objects[name].etag)}</ETag></CompleteMultipartUploadResult>")

    # ---- listings

    def list(self):
        q = self.query
        if "uploads" in q:
            return self.xml("<ListMultipartUploadsResult>" + "".join(
                f"<Upload><UploadId>{u}</UploadId></Upload>" for u in uploads) + "</ListMultipartUploadsResult>")
        prefix, delimiter = q.get("prefix", ""), q.get("delimiter", "")
        most, after = min(int(q.get("max-keys", 1000)), 1000), url.unquote_plus(q.get("continuation-token", ""), errors="surrogateescape")[1:]
        encode = url.quote_plus if q.get("encoding-type") == "url" else lambda name: escape(name.decode("utf-8", "surrogateescape"))
        out, last, more = [], None, False
        for key in sorted(objects, key=lambda k: k.encode("utf-8", "surrogateescape")):
            if not key.startswith(prefix):
                continue
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            name = key if cut < 0 else key[:cut + 1]
            if (after and not name.encode("utf-8", "surrogateescape") > after.encode("utf-8", "surrogateescape")) or name == last:
                continue
            if len(out) == most:
                more = True
                break
            last = name
            out.append(self.entry(encode, key, name, cut))
        token = f"<NextContinuationToken>{token_of(last)}</NextContinuationToken>" if more else ""
        coding = "<EncodingType>url</EncodingType>" if "encoding-type" in q else ""
        own = f"<Name>test</Name><Prefix>{encode(prefix.encode('utf-8', 'surrogateescape'))}</Prefix>"
        return self.xml('<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' + own +
                        f"<IsTruncated>{str(more).lower()}</IsTruncated>{'' if LAST else coding}{token}" + "".join(out) +
                        f"{coding if LAST else ''}</ListBucketResult>")

    def entry(self, encode, key, name, cut):
        name = encode(name.encode("utf-8", "surrogateescape"))
        if cut >= 0:
            return f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
        thing = objects[key]
        when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(thing.when))
        return (f"<Contents><Key>{name}</Key><LastModified>{when}</LastModified>"
                f"<ETag>{escape(thing.etag)}</ETag><Size>{len(thing.data)}</Size>"
                f"<StorageClass>{thing.headers.get('x-amz-storage-class', 'STANDARD')}</StorageClass></Contents>")


def quote_path(text):
    return url.quote(text, safe="-._~/", errors="surrogateescape")


def quote_text(text):
    return url.quote(url.unquote(text, errors="surrogateescape"), safe="-._~", errors="surrogateescape")


def token_of(key):
    return url.quote_plus("=" + key, errors="surrogateescape")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=0)
        self.server_address = self.socket.getsockname()
        self.tls = None
        if "tls" in HOW:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(sys.argv[2] + "/cert.pem", sys.argv[2] + "/key.pem")

    def get_request(self):
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:  # the handshake is with the first byte, in a thread of its own
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address


if __name__ == "__main__":
    Server().serve_forever()
