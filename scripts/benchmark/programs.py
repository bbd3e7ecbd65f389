"""The programs that are compared: how each mounts the archive's bucket, read-only, with its defaults."""

import re
import subprocess
from dataclasses import dataclass
from typing import Callable

import rclone
from target import release

REGION = "us-west-2"


@dataclass(frozen=True)
class Program:
    """`command` takes the archive, the mountpoint and a folder for keys; it returns arguments and extra variables."""

    name: str
    command: Callable
    version: Callable


def _granulefs(archive, mountpoint, _):
    return [release("granulefs"), "mount", archive["ARCHIVE_BUCKET"], mountpoint, "--foreground"], {}


def _s3fs(archive, mountpoint, folder):
    keys = folder / "s3fs-keys"
    keys.touch(mode=0o600)
    keys.write_text(f"{archive['ARCHIVE_STATIC_KEY']}:{archive['ARCHIVE_STATIC_SECRET']}\n")
    url = archive["AWS_ENDPOINT_URL_S3"]
    options = f"url={url},use_path_request_style,passwd_file={keys},ro,listobjectsv2,endpoint={REGION}"
    return ["s3fs", archive["ARCHIVE_BUCKET"], mountpoint, "-f", "-o", options], {}


def _rclone(archive, mountpoint, _):
    remote = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": archive["AWS_ENDPOINT_URL_S3"],
        "FORCE_PATH_STYLE": "true",
        # The archive, as a strict S3 of today, has no ListObjects of the first version, which rclone sends to "Other".
        "LIST_VERSION": "2",
        "REGION": REGION,
        "ACCESS_KEY_ID": archive["ARCHIVE_STATIC_KEY"],
        "SECRET_ACCESS_KEY": archive["ARCHIVE_STATIC_SECRET"],
    }
    variables = {f"RCLONE_CONFIG_ARCHIVE_{name}": value for name, value in remote.items()}
    # An empty --config keeps the configuration in memory.
    bucket = f"archive:{archive['ARCHIVE_BUCKET']}"
    return [rclone.program(), "mount", bucket, mountpoint, "--read-only", "--config="], variables


def _printed(*command):
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.search(r"\d+\.\d+(\.\d+)?", text)[0]


PROGRAMS = {
    "granulefs": Program("granulefs", _granulefs, lambda: _printed(release("granulefs"), "--version")),
    "s3fs": Program("s3fs", _s3fs, lambda: _printed("s3fs", "--version")),
    "rclone": Program("rclone", _rclone, lambda: rclone.VERSION),
}
