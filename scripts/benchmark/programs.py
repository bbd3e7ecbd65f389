"""The programs that are compared: how each mounts the fake DAAC's bucket, read-only, with its defaults."""

import re
import subprocess
from dataclasses import dataclass, replace
from typing import Callable

import rclone
from target import release

REGION = "us-west-2"


@dataclass(frozen=True)
class Program:
    """`command` takes the fake DAAC, the mountpoint and a folder for keys; it returns arguments and extra variables."""

    name: str
    command: Callable
    version: Callable


def with_options(program, *options):
    """The program with more options of its own."""

    def command(*arguments):
        words, variables = program.command(*arguments)
        return [*words, *options], variables

    return replace(program, command=command)


def _granulefs(fake_daac, mountpoint, _):
    return [release("granulefs"), "mount", fake_daac["FAKE_DAAC_BUCKET"], mountpoint, "--foreground"], {}


def _s3fs(fake_daac, mountpoint, folder):
    keys = folder / "s3fs-keys"
    keys.touch(mode=0o600)
    keys.write_text(f"{fake_daac['FAKE_DAAC_STATIC_KEY']}:{fake_daac['FAKE_DAAC_STATIC_SECRET']}\n")
    url = fake_daac["AWS_ENDPOINT_URL_S3"]
    options = f"url={url},use_path_request_style,passwd_file={keys},ro,listobjectsv2,endpoint={REGION}"
    return ["s3fs", fake_daac["FAKE_DAAC_BUCKET"], mountpoint, "-f", "-o", options], {}


def _rclone(fake_daac, mountpoint, _):
    remote = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": fake_daac["AWS_ENDPOINT_URL_S3"],
        "FORCE_PATH_STYLE": "true",
        # The fake DAAC has no ListObjects of version 1, which rclone sends to the provider "Other".
        "LIST_VERSION": "2",
        "REGION": REGION,
        "ACCESS_KEY_ID": fake_daac["FAKE_DAAC_STATIC_KEY"],
        "SECRET_ACCESS_KEY": fake_daac["FAKE_DAAC_STATIC_SECRET"],
    }
    variables = {f"RCLONE_CONFIG_FAKEDAAC_{name}": value for name, value in remote.items()}
    # An empty --config keeps the configuration in memory.
    bucket = f"fakedaac:{fake_daac['FAKE_DAAC_BUCKET']}"
    return [rclone.program(), "mount", bucket, mountpoint, "--read-only", "--config="], variables


def _printed(*command):
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.search(r"\d+\.\d+(\.\d+)?", text)[0]


PROGRAMS = {
    "granulefs": Program("granulefs", _granulefs, lambda: _printed(release("granulefs"), "--version")),
    "s3fs": Program("s3fs", _s3fs, lambda: _printed("s3fs", "--version")),
    "rclone": Program("rclone", _rclone, lambda: rclone.VERSION),
}
