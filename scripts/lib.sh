# Sourced by the other scripts.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

# Installs the Debian packages of the given commands, where they are missing. Usage: need command=package...
need() {
    local missing=() pair sudo=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    if [ ${#missing[@]} -eq 0 ]; then return; fi
    if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
    say "installing ${missing[*]}"
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
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
    fake_daac_pid=$!
    wait_for test -s "$dir/env"
    set -a
    # shellcheck disable=SC1091
    . "$dir/env"
    set +a
}
