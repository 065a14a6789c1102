#!/usr/bin/env python3
"""make_bucket.py PORT - makes the bucket "test" on the server of S3 at that port of 127.0.0.1, for the key KEY; waits until it answers."""
import hashlib
import hmac
import http.client
import sys
import time


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def ask(port):
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    empty = hashlib.sha256(b"").hexdigest()
    host = f"127.0.0.1:{port}"
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = f"PUT\n/test\n\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{stamp}\n\n{names}\n{empty}"
    scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
    key = b"AWS4SECRET"
    for part in scope.split("/"):
        key = mac(key, part)
    signature = mac(key, "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])).hex()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("PUT", "/test", headers={
        "Host": host, "x-amz-content-sha256": empty, "x-amz-date": stamp,
        "Authorization": f"AWS4-HMAC-SHA256 Credential=KEY/{scope},SignedHeaders={names},Signature={signature}"})
    return connection.getresponse()


for _ in range(600):
    try:
        answer = ask(int(sys.argv[1]))
    except ConnectionRefusedError:
        time.sleep(0.1)
        continue
    if answer.status == 200:
        sys.exit(0)
    sys.exit(f"HTTP {answer.status}: {answer.read()[:500]!r}")
sys.exit("it does not answer")
