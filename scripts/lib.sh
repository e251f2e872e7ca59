# shellcheck shell=bash
# Shared by the scripts beside it: goes to the repository's root and gives
#   setup_venv    .venv holds exactly requirements.lock and this project; instant if it does already
#   find_uv       sets UV, bringing uv along into .venv-uv where there is none
#   need          a command that the machine should have
# Everything that is said goes to stderr.

set -euo pipefail
# else every test process compiles all test modules anew: 3 s each, and pytest starts several
unset PYTHONDONTWRITEBYTECODE
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# apt_install PACKAGE...: on Debian or Ubuntu, as root; fails elsewhere, and says nothing then.
can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
apt_install() {
    local log
    can_apt || return
    say "Installing $*"
    log=$(mktemp)
    # scripts run beside each other, and apt is for one at a time
    (
        flock 9
        # what the machine knows of packages may be old; one source that does not answer need not matter
        apt_get install -y "$@" || { apt_get update; apt_get install -y "$@"; }
    ) 9>"${TMPDIR:-/tmp}/orchestrator-apt.lock" </dev/null >"$log" 2>&1 ||
        die "apt-get: $(tail -n 5 "$log")"
    rm "$log"
}
# the lock is not for what a package starts and leaves
apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" 9>&-; }

# need COMMAND [PACKAGE]: it is there, or is installed where that can be done, or is asked for.
need() {
    command -v "$1" >/dev/null || apt_install "${2:-$1}" || say "$1 is missing here: install it"
}

# Places where a Python may lie that are not on every PATH, such as that of an ssh login on a Mac;
# they go behind what PATH has.
with_more_pythons() {
    local bin more=
    for bin in "${PYENV_ROOT:-${HOME:-/root}/.pyenv}"/versions/3.1[123].*/bin \
        /opt/homebrew/bin /usr/local/bin /opt/local/bin \
        /Library/Frameworks/Python.framework/Versions/3.1[123]/bin; do
        [ -d "$bin" ] && more=$more:$bin
    done
    PATH=$PATH$more "$@"
}

find_uv() {
    local candidate
    # trust whom git and curl trust, such as a company's proxy
    [ ! -e /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
    # a service's user has a home that is not there, and some homes can't be written
    mkdir -p "${UV_CACHE_DIR:=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/uv}" 2>/dev/null &&
        [ -w "$UV_CACHE_DIR" ] || UV_CACHE_DIR=$PWD/.venv-uv/cache
    export UV_CACHE_DIR
    for candidate in uv "${HOME:-/root}/.local/bin/uv" .venv-uv/bin/uv; do
        # asked for its version, as a pyenv shim may stand there for a uv that is not
        UV=$candidate && "$UV" --version >/dev/null 2>&1 && return
    done
    say "No uv here: bringing it along into .venv-uv"
    # Debian's Python makes no environments until a package of its own is there
    make_uv || { apt_install python3-venv && make_uv; } ||
        die "no Python here can install uv: install uv, or Python 3.11 to 3.13 with venv and pip"
}

# uv into .venv-uv, by whatever Python can do that; the last try needs a pip only.
make_uv() {
    local python quietly=(--quiet --disable-pip-version-check)
    for python in python3 python3.13 python3.12 python3.11; do
        with_more_pythons "$python" -m venv --clear .venv-uv >/dev/null 2>&1 &&
            .venv-uv/bin/python -m pip install "${quietly[@]}" uv >&2 && break
    done || with_more_pythons python3 -m pip install "${quietly[@]}" --target .venv-uv uv \
        2>/dev/null >&2 || return
    echo '*' >.venv-uv/.gitignore
}

# Ours, of a Python that the project supports, and not brought here from another folder.
venv_is_usable() {
    [ -x .venv/bin/python ] && .venv/bin/python -c \
        'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || return
    [ ! -f .venv/.set-up ] || grep -qxF "$PWD" .venv/.set-up
}

setup_venv() {
    local wanted quiet
    need git
    # written last: its existence means that everything before it was done
    wanted=$(pwd && cat requirements.lock pyproject.toml | git hash-object --stdin)
    if venv_is_usable && [ "$(cat .venv/.set-up 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    find_uv
    say "Setting up .venv from requirements.lock (a first time downloads some 450 MB)"
    quiet=--quiet
    [ ! -t 2 ] || quiet= # someone watches: uv shows its progress
    # uv takes any Python that suits pyproject.toml, and downloads one only where there is none
    venv_is_usable || with_more_pythons "$UV" venv --quiet --clear .venv ||
        die "uv made no .venv; it takes Python 3.11 to 3.13, or downloads one"
    rm -f .venv/.set-up
    # compiled once, here: a run starts a dozen processes at the same moment, and where
    # PYTHONDONTWRITEBYTECODE is set each of them would compile everything for itself, every time
    "$UV" pip sync ${quiet:+"$quiet"} --python .venv/bin/python --compile-bytecode \
        --require-hashes requirements.lock >&2
    "$UV" pip install ${quiet:+"$quiet"} --python .venv/bin/python --no-deps --editable . >&2
    printf '%s\n' "$wanted" >.venv/.set-up
}
