#!/bin/sh
# Lay out a sandbox as the official SWE-bench images are laid out: a repository with the
# base commit and a commit "SWE-bench" on top, and a Conda-like prefix with an
# environment "testbed". The same bytes in every task; nothing here is task-specific.
#
# usage: build.sh REPO_SRC TESTBED CONDA_PREFIX [EXPECTED_SHA]
set -eu

if [ $# -lt 3 ] || [ $# -gt 4 ]; then
    echo "usage: build.sh REPO_SRC TESTBED CONDA_PREFIX [EXPECTED_SHA]" >&2
    exit 2
fi
for path in "$2" "$3"; do
    if [ -e "$path" ] && [ -n "$(ls -A "$path")" ]; then
        echo "build.sh: $path exists and is not empty" >&2
        exit 2
    fi
done
umask 022
mkdir -p "$2" "$3"
source=$(cd "$1" && pwd -P)
testbed=$(cd "$2" && pwd -P)
conda=$(cd "$3" && pwd -P)
expected=${4:-}

# ---- 1. the base commit: the same sha on every machine ----------------------------
# Nothing of the caller's git may shine through: not its configuration, its ignore and
# attributes files, not a repository or an identity that it exported.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_NAMESPACE \
    GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_CONFIG GIT_CONFIG_COUNT \
    GIT_CONFIG_PARAMETERS GIT_DEFAULT_HASH GIT_TEMPLATE_DIR
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_ATTR_NOSYSTEM=1
export GIT_AUTHOR_NAME=SWE-bench GIT_AUTHOR_EMAIL=setup@swebench.config
export GIT_COMMITTER_NAME=SWE-bench GIT_COMMITTER_EMAIL=setup@swebench.config

commit_all() { # message, date
    git -c core.excludesFile=/dev/null -c core.attributesFile=/dev/null add -A
    GIT_AUTHOR_DATE=$2 GIT_COMMITTER_DATE=$2 \
        git -c commit.gpgSign=false -c gc.auto=0 commit -q --no-verify -m "$1"
}

cp -R "$source/." "$testbed"
cd "$testbed"
rm -rf .git
find . -name __pycache__ -type d -prune -exec rm -rf {} +
find . -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
git -c init.defaultBranch=main init -q --object-format=sha1 --template=
git config core.autocrlf false
commit_all "base commit" "2024-01-01T00:00:00+0000"
sha=$(git rev-parse HEAD)
if [ -n "$expected" ] && [ "$sha" != "$expected" ]; then
    echo "build.sh: base commit of $source is $sha, expected $expected" >&2
    exit 1
fi

# ---- 2. the set-up commit, as in official images -----------------------------------
# It changes a line that no gold patch touches, so that whoever compares with the base
# commit instead of with this one sees a change that is not the agent's.
sed 's/setuptools>=61/setuptools==68.0.0/' pyproject.toml >pyproject.toml.new
cat pyproject.toml.new >pyproject.toml
rm pyproject.toml.new
commit_all "SWE-bench" "2024-01-01T00:00:01+0000"

# ---- 3. the environments -----------------------------------------------------------
env=$conda/envs/testbed
python3 -m venv --without-pip --symlinks "$conda" "$env"
rm -f "$conda"/bin/[Aa]ctivate* "$env"/bin/[Aa]ctivate*
for packages in "$env"/lib/python3*/site-packages; do
    printf '%s\n' "$testbed/src" >"$packages/testbed.pth"
done

mkdir -p "$conda/etc/profile.d"
{
    printf '_conda_root='
    printf '%s' "$conda" | sed "s/'/'\\\\''/g; s/^/'/; s/\$/'/"
    cat <<'SHIM'

# A stand-in for Conda: just enough for "conda activate NAME" in bash.

_conda_leave() {
    local parts=":$PATH:"
    if [ -n "${CONDA_PREFIX:-}" ]; then
        parts=${parts//":$CONDA_PREFIX/bin:"/:}
    fi
    parts=${parts#:}
    PATH=${parts%:}
    unset CONDA_PREFIX CONDA_DEFAULT_ENV VIRTUAL_ENV
}

conda() {
    case "${1:-}" in
        activate)
            local name=${2:-base} prefix=$_conda_root
            if [ "$name" != base ]; then
                prefix=$_conda_root/envs/$name
            fi
            if [ ! -x "$prefix/bin/python" ]; then
                echo "conda: no environment named $name in $_conda_root" >&2
                return 1
            fi
            _conda_leave
            export PATH="$prefix/bin:$PATH"
            export CONDA_PREFIX=$prefix CONDA_DEFAULT_ENV=$name VIRTUAL_ENV=$prefix
            hash -r
            ;;
        deactivate)
            _conda_leave
            hash -r
            ;;
        *)
            echo "conda: this stand-in only knows activate and deactivate" >&2
            return 1
            ;;
    esac
}
SHIM
} >"$conda/etc/profile.d/conda.sh"
{
    sed -n 1p "$conda/etc/profile.d/conda.sh"
    printf '. "$_conda_root/etc/profile.d/conda.sh"\nconda activate base\n'
} >"$conda/bin/activate"
