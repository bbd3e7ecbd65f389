"""Tests the fake DAAC with independent clients: boto3 and s3fs for S3, http.client for the login.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install boto3
    cargo build -p fake-daac && /tmp/venv/bin/python tests/daac/check.py target/debug/fake-daac
"""

import base64
import datetime
import hashlib
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

FOLDER = pathlib.Path(tempfile.mkdtemp())
ODD = ["a b", "a+b", "a%20b", "é/ü", "x//y", "/lead", "dot/./k", "dot/../k", "tab\tnew\nline", "quote\"'<>&", "🌊", "ctl\x01", "~t*!()"]


class FakeDaac:
    """The program, and the variables that it prints."""

    def __init__(self, *options):
        command = [sys.argv[1], "--bucket", "b", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = [self.process.stdout.readline().strip() for _ in range(10)]
        self.env = {name: value.strip("'") for name, value in (line.split("=", 1) for line in lines)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def control(self, method, path, body=None, **query):
        url = self.env["FAKE_DAAC_CONTROL"] + path + "?" + urllib.parse.urlencode(query)
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method)) as answer:
            return json.load(answer)

    def knobs(self, **knobs):
        self.control("PUT", "/knobs", knobs)

    def s3(self, key=None, secret=None, token=None, region="us-west-2", attempts=1):
        return boto3.client(
            "s3",
            endpoint_url=self.env["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id=key or self.env["FAKE_DAAC_STATIC_KEY"],
            aws_secret_access_key=secret or self.env["FAKE_DAAC_STATIC_SECRET"],
            aws_session_token=token,
            region_name=region,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": attempts}),
        )

    def session(self):
        answer = self.bearer()
        body = json.loads(answer.body)
        return body["accessKeyId"], body["secretAccessKey"], body["sessionToken"]

    def bearer(self, token=None):
        return ask("GET", self.env["S3_CREDENTIAL_ENDPOINT"], {"Authorization": f"Bearer {token or self.env['EARTHDATA_TOKEN']}"})

    def credentials(self):
        pair = f"{self.env['EARTHDATA_USERNAME']}:{self.env['EARTHDATA_PASSWORD']}"
        return base64.b64encode(pair.encode()).decode()


class Answer:
    def __init__(self, answer):
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()
        self.location = self.headers["Location"]

    def cookie(self):
        return self.headers["Set-Cookie"].split(";")[0]


def ask(method, url, headers={}, body=None):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    connection.request(method, url[len(f"{parts.scheme}://{parts.netloc}"):], body, headers)
    return Answer(connection.getresponse())


def refused(call, code, status, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert got == (code, status), (got, code, status)
        return error.response
    raise AssertionError(f"not refused: {code}")


def listing(fake_daac):
    s3 = fake_daac.s3()
    for key in ODD:
        fake_daac.control("POST", "/put", key.encode(), bucket="b", key=key)
    folder = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    wanted = sorted(folder | {"odd/empty directory/"} | set(ODD), key=str.encode)
    for size in (1, 2, 3, 7, 1000):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket="b", PaginationConfig={"PageSize": size})
        assert [line["Key"] for page in pages for line in page.get("Contents", [])] == wanted, size
        pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="b", Delimiter="/", PaginationConfig={"PageSize": size}))
        keys = [line["Key"] for page in pages for line in page.get("Contents", [])]
        groups = [line["Prefix"] for page in pages for line in page.get("CommonPrefixes", [])]
        assert keys == [key for key in wanted if "/" not in key], size
        assert groups == sorted({key.split("/")[0] + "/" for key in wanted if "/" in key}, key=str.encode), size
        assert all(page["KeyCount"] == len(page.get("Contents", [])) + len(page.get("CommonPrefixes", [])) <= size for page in pages)
    fake_daac.knobs(short_pages=True)
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="b", PaginationConfig={"PageSize": 3}))
    assert [line["Key"] for page in pages for line in page.get("Contents", [])] == wanted
    assert any(page["KeyCount"] == 0 and page["IsTruncated"] for page in pages)
    fake_daac.knobs(short_pages=False, page_size=2)
    assert len(s3.list_objects_v2(Bucket="b")["Contents"]) == 2
    fake_daac.knobs(page_size=1000)
    first = s3.list_objects_v2(Bucket="b", MaxKeys=2)
    refused(s3.list_objects_v2, "InvalidArgument", 400, Bucket="b", Prefix="x", ContinuationToken=first["NextContinuationToken"])
    last = first["Contents"][-1]["Key"]
    assert [line["Key"] for line in s3.list_objects_v2(Bucket="b", StartAfter=last)["Contents"]] == wanted[2:]
    fake_daac.knobs(listing={"under": ["é/"]})
    assert s3.list_objects_v2(Bucket="b", Prefix="é/")["KeyCount"] == 1
    for prefix in ("", "é", "a"):
        refused(s3.list_objects_v2, "AccessDenied", 403, Bucket="b", Prefix=prefix)
    refused(s3.get_object, "AccessDenied", 403, Bucket="b", Key="missing")
    fake_daac.knobs(listing="allowed")


def objects(fake_daac):
    s3 = fake_daac.s3()
    for key in ODD:
        assert s3.get_object(Bucket="b", Key=key)["Body"].read() == key.encode(), key
        assert s3.head_object(Bucket="b", Key=key)["ContentLength"] == len(key.encode()), key
    for path in filter(pathlib.Path.is_file, FOLDER.rglob("*")):
        answer = s3.get_object(Bucket="b", Key=str(path.relative_to(FOLDER)))
        assert answer["Body"].read() == path.read_bytes(), path
    fake_daac.control("POST", "/put", b"", bucket="b", key="big", size=10_000_019)
    whole = s3.get_object(Bucket="b", Key="big")["Body"].read()
    for header, part in (("0-9", whole[:10]), ("5000000-", whole[5000000:]), ("-17", whole[-17:]), ("4194300-4194310", whole[4194300:4194311])):
        answer = s3.get_object(Bucket="b", Key="big", Range=f"bytes={header}")
        assert answer["Body"].read() == part and answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["ContentRange"].endswith("/10000019")
    refused(s3.get_object, "InvalidRange", 416, Bucket="b", Key="big", Range="bytes=10000019-")
    refused(s3.get_object, "NoSuchKey", 404, Bucket="b", Key="missing")
    refused(s3.head_object, "404", 404, Bucket="b", Key="missing")
    refused(s3.get_object, "NoSuchBucket", 404, Bucket="missing", Key="k")
    old = s3.head_object(Bucket="b", Key="big")
    assert s3.get_object(Bucket="b", Key="big", IfMatch=old["ETag"], Range="bytes=0-0")["Body"].read() == whole[:1]
    fake_daac.control("POST", "/put", b"", bucket="b", key="big", size=10_000_019)
    refused(s3.get_object, "PreconditionFailed", 412, Bucket="b", Key="big", IfMatch=old["ETag"])
    new = s3.head_object(Bucket="b", Key="big")
    assert new["LastModified"] > old["LastModified"] and new["ETag"] != old["ETag"]
    fake_daac.control("POST", "/delete", b"", bucket="b", key="big")
    refused(s3.get_object, "NoSuchKey", 404, Bucket="b", Key="big")
    assert s3.head_object(Bucket="b", Key="flat/20020701-007.nc")["ContentLength"] == 5_000_000


def signatures(fake_daac):
    key, secret, token = fake_daac.session()
    get = {"Bucket": "b", "Key": "a b"}
    assert fake_daac.s3(key, secret, token).get_object(**get)["Body"].read() == b"a b"
    refused(fake_daac.s3(key, "wrong" + secret[5:], token).get_object, "SignatureDoesNotMatch", 403, **get)
    refused(fake_daac.s3("AKIAUNKNOWN", secret).get_object, "InvalidAccessKeyId", 403, **get)
    refused(fake_daac.s3(key, secret).get_object, "InvalidAccessKeyId", 403, **get)
    refused(fake_daac.s3(key, secret, token + "x").get_object, "InvalidToken", 400, **get)
    refused(fake_daac.s3(key, secret, token, region="us-east-1").get_object, "AuthorizationHeaderMalformed", 400, **get)
    fake_daac.knobs(regions={"b": "eu-north-1"})
    assert fake_daac.s3(key, secret, token, attempts=3).get_object(**get), "boto3 signs again for the region that the 301 names"
    assert [line["code"] for line in fake_daac.control("GET", "/log")][-2:] == ["PermanentRedirect", None]
    fake_daac.knobs(regions={"b": "us-west-2"})
    fake_daac.knobs(clock_shift=1000, credential_life=3600)
    refused(fake_daac.s3(key, secret, token).get_object, "RequestTimeTooSkewed", 403, **get)
    fake_daac.knobs(clock_shift=0, credential_life=1)
    short = fake_daac.s3(*fake_daac.session())
    assert short.get_object(**get)
    time.sleep(1.1)
    refused(short.get_object, "ExpiredToken", 400, **get)
    refused(short.head_object, "400", 400, **get)
    fake_daac.knobs(expired_is_denied=True)
    refused(short.get_object, "AccessDenied", 403, **get)
    fake_daac.knobs(expired_is_denied=False, credential_life=3600)
    assert ask("GET", fake_daac.env["AWS_ENDPOINT_URL_S3"] + "/b/a%20b").status == 403
    for client in (fake_daac.s3(), fake_daac.s3(key, secret, token)):
        url = client.generate_presigned_url("get_object", Params=get, ExpiresIn=60)
        answer = ask("GET", url, {"Range": "bytes=1-", "If-Match": f'"{hashlib.md5(b"a b").hexdigest()}"'})
        assert (answer.status, answer.body) == (206, b" b")
        assert ask("GET", url.replace("a%20b", "a%2Bb")).status == 403
    refused(fake_daac.s3(*fake_daac.session()).get_object, "AccessDenied", 403, Bucket="other", Key="k")
    before = fake_daac.control("GET", "/stats")["forbidden"]
    refused(fake_daac.s3().put_object, "MethodNotAllowed", 405, Bucket="b", Key="k", Body=b"x")
    refused(fake_daac.s3().delete_object, "MethodNotAllowed", 405, Bucket="b", Key="k")
    refused(fake_daac.s3().list_objects, "NotImplemented", 501, Bucket="b")
    refused(fake_daac.s3().get_object_acl, "NotImplemented", 501, Bucket="b", Key="k")
    refused(fake_daac.s3().list_buckets, "NotImplemented", 501)
    assert fake_daac.control("GET", "/stats")["forbidden"] == before + 5
    refused(fake_daac.s3().get_bucket_location, "AccessDenied", 403, Bucket="b")
    refused(fake_daac.s3().head_bucket, "403", 403, Bucket="b")


def login(fake_daac, tea):
    endpoint, credentials = fake_daac.env["S3_CREDENTIAL_ENDPOINT"], fake_daac.credentials()
    form = {"Origin": endpoint, "Content-Type": "application/x-www-form-urlencoded"}
    body = urllib.parse.urlencode({"credentials": credentials})
    first = ask("GET", endpoint)
    assert first.status == (302 if tea else 307) and first.location.startswith(f"http://{fake_daac.env['EARTHDATA_HOST']}/oauth/authorize?")
    assert first.location.endswith("&app_type=401") == tea and ("redirect_uri=http://" in first.location) == tea
    for way in ("form", "basic"):
        first = ask("GET", endpoint)
        if way == "form":
            second = ask("POST", first.location, form, body)
        else:
            assert ask("GET", first.location).status == (401 if tea else 200)
            second = ask("GET", first.location, {"Authorization": f"Basic {credentials}"})
        assert second.status == 302, second.body
        third = ask("GET", second.location)
        assert third.status == 301 and third.location == ("/s3credentials" if tea else endpoint)
        assert third.cookie().startswith("asf-urs=" if tea else "accessToken="), third.headers
        assert ask("GET", second.location).status == 401
        for _ in range(2):
            fourth = ask("GET", endpoint, {"Cookie": third.cookie()})
            answer = json.loads(fourth.body)
            assert fake_daac.s3(answer["accessKeyId"], answer["secretAccessKey"], answer["sessionToken"]).head_object(Bucket="b", Key="k")
            left = datetime.datetime.fromisoformat(answer["expiration"]) - datetime.datetime.now(datetime.timezone.utc)
            assert 3590 < left.total_seconds() <= 3600 and fourth.headers["Date"]
        assert ask("GET", first.location, {"Cookie": second.cookie()}).status == 302
        assert ask("GET", endpoint, {"Cookie": third.cookie()[:-1]}).status == first.status
    for headers, text in (({**form, "Origin": "http://elsewhere"}, body), (form, "user=ada"), (form, "credentials=" + credentials[:-3]), ({"Origin": endpoint}, body)):
        assert ask("POST", first.location, headers, text).status == 400
    wrong = base64.b64encode(b"ada:wrong").decode()
    for answer in (ask("POST", first.location, form, f"credentials={wrong}"), ask("GET", first.location, {"Authorization": f"Basic {wrong}"})):
        assert answer.status == 401 and json.loads(answer.body)["error"] == "invalid_credentials"
    for answer, path in (("eula", "/users/ada/unaccepted_eulas"), ("profile", "/profile")):
        fake_daac.knobs(login=answer)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(ask("POST", first.location, form, body).location).query)
        assert query["error"] == ["access_denied"] and query["error_msg"] and query["resolution_url"][0].endswith(path)
    fake_daac.knobs(login="accept")
    for method, post, basic in (("basic_or401", 401, 302), ("basic_or405", 405, 302), ("form", 302, 401 if tea else 200)):
        fake_daac.knobs(password_method=method)
        assert ask("POST", first.location, form, body).status == post
        assert ask("GET", first.location, {"Authorization": f"Basic {credentials}"}).status == basic
    fake_daac.knobs(password_method="both")
    assert fake_daac.bearer().status == 200
    assert fake_daac.bearer("a.b.c").status == (401 if tea else 307) and fake_daac.bearer("abc").status == (302 if tea else 307)
    fake_daac.knobs(bearer="eula")
    assert fake_daac.bearer().status == (403 if tea else 307)
    fake_daac.knobs(bearer="accept")
    cases = {"failed_dependency": 424, "internal_error": 500, "unavailable": 503, "bad_request": 400, "no_permission": 403, "malformed": 200}
    for answer, status in cases.items():
        fake_daac.knobs(endpoint=answer)
        assert fake_daac.bearer().status == status
    fake_daac.knobs(endpoint="redirect_loop")
    assert ask("GET", endpoint, {"Cookie": third.cookie()}).status == first.status
    fake_daac.knobs(endpoint="normal", same_credentials=True)
    assert fake_daac.session() == fake_daac.session()
    fake_daac.knobs(same_credentials=False, foreign_redirect="endpoint")
    foreign = ask("GET", endpoint).location
    fake_daac.knobs(foreign_redirect="never")
    assert foreign.startswith("http://127.0.0.9:") and fake_daac.control("GET", "/stats")["leaked_secrets"] == 0
    leaks = 0
    for method, url, headers, text in (
        ("GET", foreign, {"Authorization": f"Basic {credentials}"}, None),
        ("POST", foreign, form, body),
        ("GET", foreign, {"Authorization": "Bearer x"}, None),
        ("GET", endpoint, {"Authorization": f"Basic {credentials}"}, None),
        ("GET", first.location, {"Authorization": f"Bearer {fake_daac.env['EARTHDATA_TOKEN']}"}, None),
        ("GET", endpoint + "?token=" + fake_daac.env["EARTHDATA_TOKEN"], {}, None),
        ("GET", fake_daac.env["AWS_ENDPOINT_URL_S3"] + "/b/k", {"Authorization": f"Basic {credentials}"}, None),
    ):
        ask(method, url, headers, text)
        leaks += 1
        assert fake_daac.control("GET", "/stats")["leaked_secrets"] == leaks, (method, url)
    fake_daac.knobs(login_down=True)
    try:
        ask("GET", first.location)
        raise AssertionError("Earthdata Login is up")
    except ConnectionError:
        pass
    fake_daac.knobs(login_down=False)
    assert ask("POST", first.location, form, body).status == 302


def mount(fake_daac):
    """s3fs has its own implementation of listings."""
    point = pathlib.Path(tempfile.mkdtemp())
    password = FOLDER.parent / f"{FOLDER.name}.passwd"
    password.write_text(f"{fake_daac.env['FAKE_DAAC_STATIC_KEY']}:{fake_daac.env['FAKE_DAAC_STATIC_SECRET']}")
    password.chmod(0o600)
    options = f"passwd_file={password},url={fake_daac.env['AWS_ENDPOINT_URL_S3']},use_path_request_style,listobjectsv2,endpoint=us-west-2,ro"
    subprocess.run(["s3fs", "b", point, "-o", options], check=True)
    try:
        for _ in range(50):
            if os.path.ismount(point):
                break
            time.sleep(0.1)
        granule = next(FOLDER.rglob("*.nc")).relative_to(FOLDER)
        assert (point / granule).read_bytes() == (FOLDER / granule).read_bytes()
        assert sorted(os.listdir((point / granule).parent)) == sorted(os.listdir((FOLDER / granule).parent))
    finally:
        subprocess.run(["fusermount", "-u", point], check=True)


options = ["--folder", str(FOLDER), "--granules", "3", "--synthetic", "flat/{3000:date}-{1000}.nc=5000000"]
with FakeDaac("--folder", str(FOLDER), "--granules", "3") as fake_daac:
    listing(fake_daac)
    print("listing ok")
with FakeDaac(*options) as fake_daac:
    for odd in ODD:
        fake_daac.control("POST", "/put", odd.encode(), bucket="b", key=odd)
    fake_daac.control("POST", "/put", b"x", bucket="other", key="k")
    objects(fake_daac)
    print("objects ok")
    signatures(fake_daac)
    print("signatures ok")
    if os.path.exists("/usr/bin/s3fs") and os.path.exists("/dev/fuse"):
        mount(fake_daac)
        print("s3fs ok")
for family in ("cumulus", "tea"):
    with FakeDaac("--family", family) as fake_daac:
        fake_daac.control("POST", "/put", b"x", bucket="b", key="k")
        login(fake_daac, family == "tea")
        print(f"login {family} ok")
