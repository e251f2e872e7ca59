# A work tree's files as git would commit them, whatever has been done to the git in the sandbox.
#
#   note WORK_TREE NAME [TREE]
#       Note which files WORK_TREE has, in a new folder NAME outside of it. Prints lines: HEAD, its
#       parent or "none", the tree, the folder, the second in which the files were read, and the name
#       of what its index was. TREE is what another sandbox of this image has noted; what `kept`
#       printed of it lies beside WORK_TREE, as NAME.tar. Where this one holds another tree, that
#       counts for nothing. With TREE all is kept then; without, `keep` is to be called.
#   keep WORK_TREE FOLDER TREE
#       Keep the files that `note` has noted, before anybody changes one.
#   kept FOLDER MAX_BYTES
#       Print what is kept, for another sandbox of this image: its size in bytes, and a tar archive;
#       0 and nothing where that would be more than MAX_BYTES.
#   diff WORK_TREE FOLDER TREE READ FORM MAX_BYTES [SECOND INDEX]
#       Print the patch from TREE to the files of now: its size in bytes, the patch, and a line for
#       each remark. READ is `changed`: trust a file whose size and times are those of the last
#       time; or `touched`: trust one that nobody can have touched since `note`, which said SECOND
#       and INDEX, and where that can't be told read all. FORM is `text`, or `binary`, which is
#       plain ASCII.
#
# What they print follows a line "SNAPSHOT"; what stands before it is somebody else's. They exit with
# GONE and why, or TOO_LARGE, where there can't be a patch, and otherwise as git does.
#
# All is done by a git of our own: its folder, objects, index and settings, and a copy of the program.
# Of the repository in the sandbox, `note` reads which files it tracks, which its info/exclude leaves
# out, and the attributes that it begins with; `diff` reads files alone, and .gitignore. An image may
# have bash 4 and git 2.17; macOS has bash 3.2.

# with POSIXLY_CORRECT in its environment, bash 3.2 takes no `<(`, and later ones another `set -e`
set +o posix

GONE=78
TOO_LARGE=77
LARGE_FILE_BYTES=20000000
MOST_TOUCHED=1000 # of more, git finds them one by one no sooner than it reads them all
CAP_SYS_TIME=25

# mode changes are ignored, as the official harness does
git() {
  "$keep/git" -c core.fileMode=false -c core.autocrlf=false -c core.safecrlf=false "$@"
}

image_git() { # named, git does not ask whose the repository is
  GIT_DIR=$PWD/.git GIT_NO_REPLACE_OBJECTS=1 git "$@"
}

beside_its_objects() { # COMMAND of our git's: it finds the image's objects too, and writes none again
  GIT_ALTERNATE_OBJECT_DIRECTORIES=$(image_git rev-parse --git-path objects) "$@"
}

gone() {
  echo "$1"
  exit $GONE
}

use_own_git() { # in the folder $keep, on the files here
  unset ${!GIT_@} LANGUAGE
  export LC_ALL=C HOME=$keep XDG_CONFIG_HOME=$keep GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1
  export GIT_DIR=$keep/repository GIT_WORK_TREE=$PWD
  # what git warns of must not end up in the patch
  exec 2>"$keep/$$.errors"
  trap 'code=$?; [ $code -eq 0 ] || tail -c 300 "$keep/$$.errors"; rm -f "$keep/$$".*' EXIT
}

remark() { # WORDS [PATH]
  printf '%s\n' "${2:+$(printf %q "$2") }$1" >>"$keep/$$.remarks"
}

leave_out() { # PATH WHY
  git check-ignore -q -- "./$1" || {
    left_out+=(":(exclude,literal)$1")
    remark "was left out: $2" "$1"
  }
}

show_inside() { # FOLDER: git looks into a repository below where it knows of a file there
  local empty
  empty=$(git hash-object -w --stdin </dev/null)
  git update-index --add --replace --cacheinfo "100644,$empty,$1/.git-was-here" || true
}

is_in_tree() { # TREE FOLDER
  [ "$(git cat-file -t "$1:$2")" = tree ]
}

has_commits() { # FOLDER
  GIT_DIR=$PWD/$1/.git git rev-parse --quiet --verify HEAD >/dev/null
}

look_closer() { # PATH BASE: what `git add` would not take for files, or take too long for
  local path=$1 base=$2 folder=${1%/*}
  case $path in
    .gitignore | .gitattributes | */.gitignore | */.gitattributes)
      # git opens these whatever they are, and would wait at a pipe for ever
      [ -f "$path" ] || rm -f "./$path"
      ;;
    */.git)
      if [ -z "$base" ] || is_in_tree "$base" "$folder" || ! has_commits "$folder"; then
        show_inside "$folder"
      else
        leave_out "$folder" "it is a repository of its own"
      fi
      ;;
    */HEAD)
      [ -z "$base" ] || [ ! -d "$folder/objects" ] || [ ! -d "$folder/refs" ] ||
        is_in_tree "$base" "$folder" || leave_out "$folder" "it is a folder of git's own"
      ;;
  esac
  if [ -n "$base" ] && [ -n "$(find "./$path" -prune -type f -size +${LARGE_FILE_BYTES}c)" ]; then
    # one that has been there, and has the size that it had, is read
    [ "$(git cat-file -s ":0:$path")" -eq "$(wc -c <"./$path")" ] ||
      leave_out "$path" "it is over $((LARGE_FILE_BYTES / 1000000)) MB"
  fi
}

add_files() {
  local code=0
  git add -A --ignore-errors -- . "${left_out[@]}" >/dev/null 2>"$keep/$$.add" || code=$?
  [ $code -le 1 ] || {
    cat "$keep/$$.add" >&2
    exit $code
  }
}

tell_errors() { # of `git add`
  local line
  if grep -q 'ermission denied' "$keep/$$.add"; then
    chmod -R u+rwX . || true
    add_files
  fi
  grep '^error: ' "$keep/$$.add" | head -n 3 | while IFS= read -r line; do
    remark "git could not read a file: ${line#error: }"
  done
}

index_files() { # BASE, the tree that is in the index; empty where all that lies here counts
  local path left_out=()
  while IFS= read -r -d '' path; do
    look_closer "${path#./}" "$1"
  done < <(find . -path ./.git -prune -o -name .git -prune -print0 -o -type f \
    \( -name HEAD -o -size +${LARGE_FILE_BYTES}c \) -print0 -o ! -type f ! -type l ! -type d \
    \( -name .gitignore -o -name .gitattributes \) -print0)
  add_files
  if [ -s "$keep/$$.add" ]; then tell_errors; fi
}

tree_of_files() { # BASE
  index_files "$1"
  git write-tree --missing-ok
}

# --- which files nobody can have touched -----------------------------------------------------------
#
# Whatever changes a file, its content, its times, its name, sets the time of its last change (ctime)
# to the kernel's clock, and nothing sets that one back: `touch` sets others. So a file that nobody
# touched has a ctime from before `note`, and by `note`'s index the same inode. That holds where
# nobody in the sandbox can set the clock, on file systems of the kernel's own. In a folder beside
# the image's layers (overlayfs), what is written to is copied up first, and new in this sense.

nobody_sets_the_clock() {
  local set
  set=$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status 2>/dev/null) && [ -n "$set" ] &&
    [ $((16#$set >> CAP_SYS_TIME & 1)) -eq 0 ]
}

keeps_change_times() { # the file system here, and no other is mounted below
  case $(stat -f -c %T . 2>/dev/null) in
    overlayfs | ext2/ext3 | xfs | btrfs | tmpfs) ;;
    *) return 1 ;;
  esac
  [ -r /proc/self/mountinfo ] && ! grep -qF " $(pwd -P)/" /proc/self/mountinfo
}

take_noted_index() { # SECOND INDEX
  [ -n "$2" ] && nobody_sets_the_clock && keeps_change_times || return 1
  [ "$(git hash-object --no-filters -- "$keep/index")" = "$2" ] || return 1
  # a second earlier: the clock of files lags a little
  find . -path ./.git -prune -o -newerct "@$(($1 - 1))" ! -type d -print0 >"$keep/$$.touched" || return 1
  [ "$(tr -dc '\0' <"$keep/$$.touched" | wc -c)" -le $MOST_TOUCHED ] || return 1
  cp "$keep/index" "$GIT_INDEX_FILE"
  # of these the index then knows no size and no time: git reads them
  xargs -0 -r "$keep/git" --literal-pathspecs ls-files -s -z -- <"$keep/$$.touched" |
    git update-index -z --index-info
  [ "${PIPESTATUS[*]}" = "0 0" ]
}

# --- note and diff -----------------------------------------------------------------------------------

note_repository() { # what HEAD names, and the files that are as it says
  GIT_DEFAULT_HASH=$(image_git rev-parse --show-object-format) git init -q --template=
  mkdir -p "$GIT_DIR/info"
  cat "$(image_git rev-parse --git-path info/exclude)" >"$GIT_DIR/info/exclude" || true
  cp "$keep/attributes" "$GIT_DIR/info/attributes"
  # where objects of HEAD are missing, all files are added
  beside_its_objects git read-tree "$(image_git rev-parse 'HEAD^{tree}')" || true
  # it only reads, while `add` would write an object of each file
  git update-index -q --refresh >/dev/null || true
}

keep_objects() { # TREE
  # By our git: the image's would write a file into its own repository meanwhile, which who looks
  # there for the future would take for one of it
  image_git rev-parse -q --verify 'HEAD^{tree}' | beside_its_objects \
    git -c pack.compression=1 pack-objects -q --revs --window=0 "$GIT_DIR/objects/pack/pack" \
    >/dev/null || true
  git prune-packed -q # folders, which `note` wrote one by one
  has_objects "$1" || {
    # objects of HEAD are missing in the image: the files hold the same
    git ls-files -s -z | GIT_INDEX_FILE=$keep/$$.index git update-index -z --index-info
    [ "$(GIT_INDEX_FILE=$keep/$$.index tree_of_files '')" = "$1" ] && has_objects "$1" ||
      gone "objects are missing, and its files are others"
  }
}

has_objects() { # TREE
  git rev-list --objects "$1" >/dev/null 2>&1
}

take_kept() { # ARCHIVE TREE: what another sandbox of this image has kept, if the files are the same
  tar -C "$keep" -xf "$1" && cp "$keep/attributes" "$GIT_DIR/info/attributes" || return 1
  # its index knows times: git reads each file that has other ones here
  [ "$(tree_of_files '')" = "$2" ] && has_objects "$2" || return 1
  tree=$2
}

note() {
  local line head parent tree= folder program second archive
  cd "$1"
  for folder in "$(dirname "$PWD")" "$HOME" /var/tmp; do
    keep=${folder%/}/$2
    ! mkdir -m 700 "$keep" 2>/dev/null || break
  done
  program=$(type -P git) || gone "there is no git"
  archive=$(dirname "$PWD")/$2.tar
  use_own_git
  # a copy, as agents install and remove programs; one that does not run elsewhere is linked
  cp -L "$program" "$keep/git"
  git --version >/dev/null || ln -sf "$program" "$keep/git"
  printf %s "$SNAPSHOT_TEXT" >"$keep/snapshot.sh"
  line=$(image_git rev-list -n 1 --parents HEAD --)
  read -r head parent _ <<<"$line"
  {
    echo '* !ident !filter !working-tree-encoding'
    [ ! -f .gitattributes ] || cat .gitattributes
    printf '\n* -text !eol !diff\n'
  } >"$keep/attributes"

  second=$(date +%s)
  [ $# -lt 3 ] || take_kept "$archive" "$3" || rm -rf "$GIT_DIR"
  rm -f "$archive"
  if [ -z "$tree" ]; then
    second=$(date +%s)
    note_repository
    tree=$(index_files '' && beside_its_objects git write-tree --missing-ok)
    [ $# -lt 3 ] || keep_objects "$tree"
  fi
  # the other one is brought up to date by whoever asks for a diff meanwhile
  cp "$GIT_DIR/index" "$keep/index"
  printf '%s\n' "$head" "${parent:-none}" "$tree" "$keep" "$second" \
    "$(git hash-object --no-filters -- "$keep/index")"
}

keep() {
  renice 10 $$ >/dev/null 2>&1 || true # an agent may start meanwhile, and goes first
  keep=$2
  cd "$1"
  use_own_git
  keep_objects "$3"
}

kept() {
  local size
  keep=$1
  tar -C "$keep" -cf "$keep/$$.tar" repository
  size=$(($(wc -c <"$keep/$$.tar")))
  if [ "$size" -le "$2" ]; then echo "$size" && cat "$keep/$$.tar"; else echo 0; fi
  rm -f "$keep/$$.tar"
}

diff() {
  local tree=$3 now patch
  keep=$2
  [ -d "$keep/repository" ] || gone "$keep, where the files of the start were kept, is gone"
  cd "$1" 2>/dev/null || gone "$1 is gone"
  use_own_git
  git ls-tree -r -t "$tree" >/dev/null || gone "what was kept of the start in $keep is damaged"
  cp "$keep/attributes" "$GIT_DIR/info/attributes"
  if [ "$5" = binary ]; then echo '* -diff' >>"$GIT_DIR/info/attributes"; fi
  if [ "$4" = touched ]; then
    export GIT_INDEX_FILE=$keep/$$.index
    take_noted_index "$7" "$8" || git read-tree "$tree"
  else
    rm -f "$GIT_DIR/index.lock"
  fi
  now=$(tree_of_files "$tree")
  case $now in '' | *[!0-9a-f]*) gone "the git that was kept in $keep is damaged" ;; esac
  patch=$keep/$$.patch
  git diff-tree -r -p --binary --full-index --no-color --no-ext-diff --no-renames \
    --ignore-submodules=all "$tree" "$now" -- . ':(exclude,glob)**/__pycache__/**' \
    ':(exclude,glob)**/*.pyc' ':(exclude,glob)**/.pytest_cache/**' >"$patch" || {
    has_objects "$tree" || gone "what was kept of the start in $keep is damaged"
    exit 1
  }
  [ "$(wc -c <"$patch")" -le "$6" ] || exit $TOO_LARGE
  echo $(($(wc -c <"$patch")))
  cat "$patch"
  [ ! -f "$keep/$$.remarks" ] || cat "$keep/$$.remarks"
}

set -e
unset CDPATH
echo SNAPSHOT
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
"$@"
