# What a repository of git's holds that is not of its HEAD, found and dropped. `future.sh` uses it.
#
# $G is the repository's folder and $W the folder of its work tree's own state: the same, but for
# linked work trees. $S is a folder of ours. Allowed are the objects that HEAD and the index reach,
# and tags with a text of their own that name a commit of these and are not younger than HEAD.

image_git() { # named, git does not ask whose the repository is; nothing in it changes what it sees
  GIT_DIR=$W git -c core.fsmonitor=false -c core.commitGraph=false -c core.multiPackIndex=false \
    -c core.quotePath=true -c gc.auto=0 "$@"
}

list_objects() { # all that git finds here, its alternates' too; sorted
  image_git cat-file --batch-all-objects --batch-check='%(objectname)'
}

list_names() { # every object's name that stands in refs, logs and pseudo-refs
  { # a reference in an unknown form would be a hole
    cat "$G/packed-refs" "$G"/*_HEAD "$W"/*_HEAD "$W/HEAD" "$G/HEAD" "$G"/worktrees/*/*HEAD
    find "$G/refs" "$G/logs" "$W/logs" "$W/refs" "$G"/worktrees/*/logs "$G"/worktrees/*/refs -type f -exec cat {} +
    cd "$G/worktrees" && for other in */; do GIT_DIR=$G/worktrees/$other git rev-parse -q --verify HEAD; done
    [ "$G" = "$W" ] || GIT_DIR=$G git rev-parse -q --verify HEAD
  } 2>/dev/null | grep -aoE '[0-9a-f]{40,64}' | grep -v '^0*$' | sort -u
}

facts() { # all that the answer depends on: what was found clean once need not be walked again
  cat "$S/all" "$S/names"
  image_git rev-parse HEAD
  image_git ls-files -s
  image_git for-each-ref --format='%(refname) %(objectname) %(type) %(object) %(taggerdate:unix)'
  cat "$G/shallow" "$W/COMMIT_EDITMSG" 2>/dev/null || true
}

walk() { # prints all that HEAD and the index reach; what is missing in a partial clone is none of it
  local names=--no-object-names
  image_git rev-list $names -n 1 HEAD >"$S/walk" || names=
  image_git -c core.deltaBaseCacheLimit=512m rev-list --objects $names \
    --single-worktree --indexed-objects --missing=print HEAD >"$S/walk"
  cut -d ' ' -f 1 "$S/walk" | { grep -v '^[?]' || true; }
}

list_allowed_tags() { # those with a text of their own, that name a reachable object
  local born
  born=$(image_git log -1 --format=%ct HEAD)
  image_git for-each-ref --format='%(object) %(objectname) %(taggerdate:unix)' | awk -v "born=$born" \
    '$1 ~ /^[0-9a-f]+$/ && NF == 3 && $3 <= born { print $1, $2 }' | sort >"$S/tags"
  [ ! -s "$S/tags" ] || cut -d ' ' -f 1 "$S/tags" | grep -xFf - "$S/reachable" | sort |
    join -o 1.2 "$S/tags" - | sort -u
}

require_known_form() {
  [ ! -e "$G/reftable" ] || cannot "its refs are in a form (reftable) that is not known here"
}

find_objects() { # writes $S/allowed, $S/unwanted and $S/unwanted-names, all of them sorted
  if [ -n "$WALK" ]; then wait "$WALK"; else walk >"$S/reachable"; fi
  WALK=
  list_allowed_tags >"$S/allowed-tags"
  # all that was reached is there: as many as there are, are all
  if [ "$(cat "$S/reachable" "$S/allowed-tags" | wc -l)" -eq "$(wc -l <"$S/all")" ]; then
    cp "$S/all" "$S/allowed"
  else
    sort -u "$S/reachable" "$S/allowed-tags" >"$S/allowed"
  fi
  comm -13 "$S/allowed" "$S/all" >"$S/unwanted"
  comm -13 "$S/allowed" "$S/names" >"$S/unwanted-names"
}

tell_objects() {
  local kind
  [ -s "$S/unwanted" ] || return 0
  image_git cat-file --batch-check='%(objecttype) %(objectname)' <"$S/unwanted" >"$S/types" || true
  for kind in commit tree blob tag; do
    grep "^$kind " "$S/types" | cut -d ' ' -f 2 | cut -c 1-12 | tell "${kind}s"
  done
  if grep -qvE '^(commit|tree|blob|tag) ' "$S/types"; then
    grep -vE '^(commit|tree|blob|tag) ' "$S/types" | cut -c 1-12 | tell 'damaged objects'
  fi
}

list_refs() { # what stands in files of refs, as "name id"
  { cat "$G/packed-refs" 2>/dev/null || true; } | awk '/^[0-9a-f]/ { id = $1; sub(/^[^ ]* /, ""); print $0, id }'
  find "$G/refs" "$W/refs" -type f -exec awk '/^[0-9a-f]/ { print FILENAME, $1 }' {} + 2>/dev/null |
    sed "s|^$(pattern "$G")/||" | sort -u
}

tell_refs() {
  [ -s "$S/unwanted-names" ] || return 0
  list_refs | awk 'NR == FNR { bad[$1]; next } $NF in bad { $NF = ""; print }' \
    "$S/unwanted-names" - | sed 's/ *$//' | sort -u >"$S/refs"
  tell refs <"$S/refs"
  list_unwanted_files logs | sed "s|^$(pattern "$G")/||" | tell reflogs
}

list_unwanted_files() { # KIND, refs or logs: those that name what is not allowed
  [ ! -s "$S/unwanted-names" ] ||
    find "$G/$1" "$W/$1" -type f -exec grep -laFf "$S/unwanted-names" {} + 2>/dev/null | sort -u
}

is_unwanted() { # FILE: it names an object that is not allowed
  [ -f "$1" ] && [ -s "$S/unwanted-names" ] && grep -qaFf "$S/unwanted-names" "$1"
}

is_message_of_head() { # FILE
  [ "$(sed -e '/^#/d' "$1" | tr -d '[:space:]')" = "$(image_git log -1 --format=%B | tr -d '[:space:]')" ]
}

each_stray() { # CALL: with every file or folder in the repository that none of HEAD's needs
  local path name short long
  for path in "$G"/* "$G"/.[!.]* "$W"/* "$W"/.[!.]*; do
    name=${path##*/}
    [ -e "$path" ] || [ -L "$path" ] || continue
    case $name in
      HEAD | config | config.worktree | description | index | packed-refs | shallow | commondir | gitdir) ;;
      hooks | info | objects | refs | logs | branches | modules | worktrees | lfs | sharedindex.*) ;;
      COMMIT_EDITMSG) is_message_of_head "$path" || "$1" "$path" ;;
      ORIG_HEAD | FETCH_HEAD) ! is_unwanted "$path" || "$1" "$path" ;;
      *) "$1" "$path" ;;
    esac
  done
  for path in "$G"/info/* "$W"/info/*; do
    case ${path##*/} in
      exclude | attributes | sparse-checkout | '*') ;;
      refs) ! is_unwanted "$path" || "$1" "$path" ;;
      *) "$1" "$path" ;;
    esac
  done
  for path in "$G"/objects/*; do
    case ${path##*/} in
      [0-9a-f][0-9a-f] | info | pack | '*') ;;
      *) "$1" "$path" ;;
    esac
  done
  for path in "$G"/objects/pack/*; do
    case ${path##*/} in
      pack-*.pack) [ -e "${path%.pack}.idx" ] || "$1" "$path" ;;
      pack-*.idx | pack-*.rev | pack-*.bitmap | pack-*.keep | pack-*.promisor | pack-*.mtimes) ;;
      multi-pack-index* | '*') ;;
      *) "$1" "$path" ;;
    esac
  done
  # loose objects have names of 38 or 62 digits
  printf -v short '%38s' ''
  printf -v long '%62s' ''
  find "$G/objects" -mindepth 2 -path "$(glob "$G")/objects/[0-9a-f][0-9a-f]/*" \
    \( -name '*[!0-9a-f]*' -o ! -name "${short// /?}" ! -name "${long// /?}" \) >"$S/loose"
  while IFS= read -r path; do "$1" "$path"; done <"$S/loose"
}

each_other_tree() { # CALL: with the state of every other work tree whose HEAD or log is not allowed
  local other id
  for other in "$G"/worktrees/*; do
    [ -d "$other" ] && [ "$other" != "$W" ] || continue
    id=$(GIT_DIR=$other git rev-parse -q --verify HEAD 2>/dev/null || echo none)
    if ! grep -qxF "$id" "$S/allowed" || [ -n "$(find "$other" -type f ! -name index -exec grep -laFf "$S/unwanted-names" {} + 2>/dev/null)" ]; then
      "$1" "$other"
    fi
  done
}

list_staged() { # what the index holds of a file, and neither HEAD nor the work tree does
  local path mode id rest
  [ -n "$T" ] || return 0
  image_git diff-index --cached --name-only --no-renames -z --diff-filter=ACMTU HEAD >"$S/cached"
  while IFS= read -r -d '' path; do
    image_git --literal-pathspecs ls-files -s -z -- "$path" | while read -r -d '' mode id rest; do
      case $mode in 160000) continue ;; 120000) [ ! -L "$T/$path" ] || continue ;; esac
      [ -f "$T/$path" ] && [ "$(cd "$T" && image_git hash-object --path "$path" -- "$T/$path")" = "$id" ] ||
        printf '%s\0' "$path"
    done
  done <"$S/cached"
}

main_head() { # the HEAD of the main work tree, where ours is a linked one
  [ "$G" = "$W" ] || [ "$(GIT_DIR=$G git rev-parse --is-bare-repository)" = true ] ||
    GIT_DIR=$G git rev-parse -q --verify HEAD
}

name_in_git() {
  grep -qxF "${1#"$G"/}" "$S/strays" || echo "${1#"$G"/}" >>"$S/strays"
}

find_in_repository() { # TELLS; $S/all and $S/names are there
  find_objects
  tell_objects
  tell_refs
  : >"$S/strays"
  each_stray name_in_git
  tell 'other files of git' <"$S/strays"
  : >"$S/strays"
  each_other_tree name_in_git
  local head
  head=$(main_head || true)
  if [ -n "$head" ] && ! grep -qxF "$head" "$S/allowed"; then echo "${G%/.git}" >>"$S/strays"; fi
  tell 'other work trees' <"$S/strays"
  list_staged | tr '\n\0' '?\n' | tell 'staged contents'
}

read_repository() {
  require_known_form
  list_objects >"$S/all"
  list_names >"$S/names" || true
}

# --- dropped -----------------------------------------------------------------------------------

remove() {
  chmod -R u+w "$1" 2>/dev/null || true
  rm -rf "$1"
}

remove_within() { # PATH: of the sandbox's own, outside of the work tree
  local real
  real=$(cd "$(dirname "$1")" && pwd -P)/${1##*/}
  [ ! -d "$1" ] || real=$(cd "$1" && pwd -P) # a link may lead out of the sandbox
  case $T/ in "$real"/*) cannot "$1 holds it, and the work tree too" ;; esac
  case $real/ in
    "${ROOT%/}/"?*) remove "$1" ;;
    *) cannot "$1 holds it, which is not within the sandbox" ;;
  esac
}

remove_work_tree() { # THE STATE OF A LINKED ONE
  local folder
  folder=$(cat "$1/gitdir" 2>/dev/null || true)
  folder=${folder%/.git}
  [ -z "$folder" ] || [ ! -e "$folder" ] || remove_within "$folder"
  remove "$1"
}

pack_allowed() { # into one pack; nothing else is left of the objects
  local pack name path promisor=
  for path in "$G"/objects/pack/*.promisor; do [ ! -e "$path" ] || promisor=yes; done
  comm -12 "$S/allowed" "$S/all" >"$S/kept"
  pack=$(image_git -c pack.packSizeLimit=0 -c pack.writeBitmaps=false -c repack.writeBitmaps=false pack-objects \
    -q --missing=allow-any "$G/objects/pack/pack" <"$S/kept")
  name=pack-$pack
  image_git show-index <"$G/objects/pack/$name.idx" | cut -d ' ' -f 2 | sort | cmp -s - "$S/kept" ||
    cannot "git did not pack what is to be kept"
  [ -z "$promisor" ] || : >"$G/objects/pack/$name.promisor"
  list_alternates >"$S/alternates"
  for path in "$G"/objects/pack/* "$G"/objects/info/* "$G"/objects/[0-9a-f][0-9a-f]; do
    case ${path##*/} in "$name".*) ;; *) remove "$path" ;; esac
  done
  while IFS= read -r path; do
    [ ! -d "$path" ] || drop_alternate "$path"
  done <"$S/alternates"
}

list_alternates() {
  local path
  { cat "$G/objects/info/alternates" 2>/dev/null || true; } | while IFS= read -r path; do
    case $path in '' | '#'*) ;; /*) echo "$path" ;; *) (cd "$G/objects" && cd "$path" && pwd -P) || true ;; esac
  done
}

drop_alternate() { # FOLDER of objects, which holds what is not allowed, or may
  remove_within "${1%/.git/objects}"
}

drop_refs() {
  local path
  if [ -f "$G/packed-refs" ] && [ -s "$S/unwanted-names" ]; then
    awk 'NR == FNR { bad[$1]; next } /^[0-9a-f]/ { gone = ($1 in bad) }
      /^\^/ && gone { next } !/^[#^]/ && gone { next } { print }' \
      "$S/unwanted-names" "$G/packed-refs" >"$S/packed-refs"
    cmp -s "$S/packed-refs" "$G/packed-refs" || cat "$S/packed-refs" >"$G/packed-refs"
  fi
  list_unwanted_files refs | tr '\n' '\0' | xargs -0 rm -f --
  # of what happened in it, a log tells in words too
  find "$G/logs" "$W/logs" -type f ! -path "$(glob "$W")/logs/HEAD" -exec rm -f {} + 2>/dev/null || true
  [ ! -f "$W/logs/HEAD" ] || : >"$W/logs/HEAD"
  image_git config --name-only --get-regexp '^branch\.' | sed 's/^branch\.//; s/\.[^.]*$//' | sort -u |
    while IFS= read -r path; do
      image_git rev-parse -q --verify "refs/heads/$path" >/dev/null ||
        image_git config --remove-section "branch.$path"
    done
}

drop_staged() {
  list_staged >"$S/staged"
  [ ! -s "$S/staged" ] || (cd "$T" && xargs -0 sh -c \
    'GIT_DIR=$0 git --literal-pathspecs reset -q HEAD -- "$@"' "$W" <"$S/staged")
}

drop_in_repository() {
  local head
  read_repository
  find_objects
  drop_staged
  read_repository
  find_objects
  each_other_tree remove_work_tree
  head=$(main_head || true)
  if [ -n "$head" ] && ! grep -qxF "$head" "$S/allowed"; then
    case $T/ in "${G%/.git}"/*) cannot "the work tree lies in ${G%/.git}, which holds it" ;; esac
    image_git rev-parse HEAD >"$G/HEAD"
    find "${G%/.git}" -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +
    remove "$G/index"
  fi
  each_stray remove
  drop_refs
  pack_allowed
}
