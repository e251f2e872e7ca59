# What a sandbox holds of its repository's future, whatever an image was left with.
#
#   find_future WORK_TREE PACKAGE KNOWN...
#       Print a line "fingerprint ID", and one for each kind of thing: "found", the kind, how many,
#       and a few names, with tabs between. What has a fingerprint that is KNOWN is clean.
#   drop_future WORK_TREE PACKAGE
#       Drop all of that, but for what stands under "remotes". HEAD, its branch, its history, the
#       index and the files of the work tree stay as they are.
#
# What they print follows a line "FUTURE". Where it can't be known, or not be dropped, they say why
# and exit with CANNOT. `find_future` changes nothing. An image may have bash 4 and git 2.17; macOS
# has bash 3.2.

set +o posix
CANNOT=79
NAMES=3

cannot() {
  echo "$1"
  exit $CANNOT
}

tell() { # KIND: of the names on standard input
  awk -v "kind=$1" -v "names=$NAMES" '
    { gsub(/[\t]/, "?") } NR <= names { list = list "\t" substr($0, 1, 80) }
    END { if (NR) print "found\t" kind "\t" NR list }'
}

pattern() { # TEXT, for sed
  printf '%s' "$1" | sed 's/[][\.*^$|]/\\&/g'
}

glob() { # TEXT, for find
  printf '%s' "$1" | sed 's/[][\*?]/\\&/g'
}

begin() { # WORK_TREE PACKAGE
  cd "$1" || cannot "$1 is gone"
  T=$(pwd -P) PACKAGE=$2
  ROOT=$(dirname "$T")
  unset ${!GIT_@} LANGUAGE
  S=$(mktemp -d "${TMPDIR:-/tmp}/.swe-orchestrator-XXXXXX")
  export LC_ALL=C HOME=$S XDG_CONFIG_HOME=$S GIT_CONFIG_NOSYSTEM=1 GIT_NO_REPLACE_OBJECTS=1
  export GIT_GRAFT_FILE=$S/no-grafts GIT_NO_LAZY_FETCH=1 GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0
  exec 2>"$S/errors"
  # what went wrong is the last thing that is said
  trap 'code=$?; [ $code -eq 0 ] || tail -c 300 "$S/errors"; rm -rf "$S"' EXIT
  W=$T/.git WALK=
  open_repository
}

open_repository() { # $W, as it was named
  W=$(cd "$(image_git rev-parse --absolute-git-dir)" && pwd -P)
  G=$(cd "$W" && cd "$(image_git rev-parse --git-common-dir)" && pwd -P)
}

find_future() {
  local print known
  begin "$1" "$2"
  shift 2
  # what takes longest begins first, unless there may be no need for it
  if [ $# -eq 0 ]; then
    walk >"$S/reachable" &
    WALK=$!
  fi
  read_repository
  look_elsewhere
  print=$({ facts; each_fact_elsewhere; } | image_git hash-object --stdin)
  printf 'fingerprint\t%s\n' "$print"
  for known; do [ "$known" != "$print" ] || return 0; done
  find_in_repository
  find_elsewhere
  image_git remote | tell remotes
}

drop_future() {
  begin "$1" "$2"
  read_repository
  look_elsewhere
  find_objects
  drop_in_repository
  drop_elsewhere
}
