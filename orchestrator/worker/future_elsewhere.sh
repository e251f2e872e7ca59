# What lies beside a repository and holds its future: other clones, bundles and packs, submodules,
# later versions of its own package. `future.sh` uses it.
#
# Looked through is all of $ROOT on its own file system. What lies in the work tree, but for folders
# ".git", is no future: it is what the agent is given.

look_elsewhere() { # writes $S/elsewhere
  local name
  name=$(printf '%s' "$PACKAGE" | sed 's/[-_.]/[-_.]/g')
  {
    find "$ROOT" -xdev \( -path "$(glob "$T")" -o -name '.swe-orchestrator-*' \) -prune -o \
      \( -name HEAD -type f -o -name '*.bundle' -o -name '*.pack' -o -iname "$name-[0-9]*" \
      -o -path '*/pip/http*' -type f \) -print
    find "$T" -path '*/.git/*' -name HEAD -type f
    case $G/ in "${ROOT%/}/"*) ;; *) find "$G" -name HEAD -type f ;; esac
  } 2>/dev/null | sort -u >"$S/elsewhere"
  while IFS= read -r name; do
    name=${name%/HEAD}
    [ -d "$name/objects" ] && [ -d "$name/refs" ] || continue
    case $(cd "$name" && pwd -P)/ in "$G/" | "$W/" | "$G"/worktrees/*) continue ;; esac
    ! GIT_DIR=$name git rev-parse -q --git-dir >/dev/null || echo "$name"
  done < <(grep '/HEAD$' "$S/elsewhere") >"$S/repositories"
}

each_fact_elsewhere() {
  local other
  while IFS= read -r other; do
    echo "$other"
    if [ -f "$other" ]; then cksum <"$other"; else cat "$other/direct_url.json" "$other/RECORD" 2>/dev/null | cksum; fi
  done < <(grep -v '/HEAD$' "$S/elsewhere")
  base_version
  while IFS= read -r other; do
    echo "$other"
    (W=$other G=$other && list_objects && list_names && image_git rev-parse HEAD) || true
  done <"$S/repositories"
}

is_related() { # OBJECTS, sorted, are a part of this repository's, and of its history
  comm -12 "$S/allowed" "$1" >"$S/shared"
  [ -s "$S/shared" ] || return 1
  [ $(($(wc -l <"$S/shared") * 10)) -lt $(wc -l <"$1") ] || return 0
  image_git cat-file --batch-check='%(objecttype)' <"$S/shared" | grep -q commit
}

holds_more() { # OBJECTS, sorted
  [ -n "$(comm -13 "$S/allowed" "$1")" ]
}

is_submodule() {
  case $1 in "$G"/modules/* | "$T"/*) return 0 ;; *) return 1 ;; esac
}

each_repository() { # CALL_CLONE CALL_SUBMODULE
  local other
  while IFS= read -r other; do
    [ -d "$other" ] || continue
    (W=$other list_objects) >"$S/theirs" || : >"$S/theirs"
    [ -s "$S/theirs" ] || continue
    if is_related "$S/theirs"; then
      ! holds_more "$S/theirs" || "$1" "$other"
    elif is_submodule "$other" && GIT_DIR=$other git rev-parse -q --verify HEAD >/dev/null; then
      "$2" "$other"
    fi
  done <"$S/repositories"
}

in_submodule() { # FOLDER CALL: there, with files of its own
  (
    W=$1 T= WALK=
    S=$S/submodule
    rm -rf "$S"
    mkdir "$S"
    open_repository
    "$2"
  )
}

find_in_submodule() {
  in_submodule "$1" read_and_find
}

read_and_find() {
  read_repository
  find_in_repository
}

objects_of() { # BUNDLE_OR_PACK: theirs, sorted; nothing where it is none
  local scratch=$S/scratch call=(index-pack --stdin --fix-thin)
  rm -rf "$scratch"
  GIT_DEFAULT_HASH=$(image_git rev-parse --show-object-format || echo sha1) \
    git init -q --bare --template= "$scratch"
  mkdir -p "$scratch/objects/info"
  echo "$G/objects" >"$scratch/objects/info/alternates"
  case $1 in *.bundle) call=(bundle unbundle "$1") ;; esac
  GIT_DIR=$scratch git "${call[@]}" <"$1" >/dev/null || return 0
  for idx in "$scratch"/objects/pack/*.idx; do
    GIT_DIR=$scratch git show-index <"$idx" | cut -d ' ' -f 2
  done | sort
}

each_packed_file() { # CALL: with every bundle or pack elsewhere that holds it
  local path
  grep -E '\.(bundle|pack)$' "$S/elsewhere" >"$S/packed-files" || return 0
  while IFS= read -r path; do
    [ -f "$path" ] || continue
    case $path in "$G"/*) continue ;; */objects/pack/pack-*.pack) [ ! -e "${path%.pack}.idx" ] || continue ;; esac
    objects_of "$path" >"$S/theirs"
    if is_related "$S/theirs" && holds_more "$S/theirs"; then "$1" "$path"; fi
  done <"$S/packed-files"
}

# --- copies of the package ---------------------------------------------------------------------

base_version() { # of the package in the work tree; empty where it says none
  local found
  found=$(sed -n 's/^Version: *//p' "$T"/*.egg-info/PKG-INFO "$T"/*/*.egg-info/PKG-INFO | head -n 1)
  [ -n "$found" ] || found=$(
    cat "$T"/{,src/,lib/}"$PACKAGE"/{__init__,release,version,_version,__version__,__about__}.py \
      "$T"/{pyproject.toml,setup.cfg,setup.py} | sed -nE \
      "s/^ *_{0,2}version_{0,2} *= *['\"]?([0-9][0-9A-Za-z.+]*).*/\\1/p" | head -n 1
  )
  [ -n "$found" ] || found=$(image_git describe --tags --abbrev=0 HEAD | sed 's/^[^0-9]*//')
  printf '%s' "$found"
}

is_later() { # VERSION THAN
  awk -v "one=$1" -v "other=$2" 'BEGIN {
    pre = "(dev|a|b|c|rc)[0-9]*"
    n = split(one, a, /[.]|[a-z+-].*/); m = split(other, b, /[.]|[a-z+-].*/)
    for (i = 1; i <= n || i <= m; i++) if (a[i] + 0 != b[i] + 0) exit !(a[i] + 0 > b[i] + 0)
    exit !(other ~ pre && one !~ pre)
  }'
}

version_in() { # PATH of a file or folder that is named after the package
  printf '%s' "${1##*/}" | sed -E "s/^.{${#PACKAGE}}-//; s/-.*//; s/\.(dist-info|egg-info|egg|whl|tar\..*|tgz|zip|conda|json)$//"
}

is_a_copy() { # PATH: an installation, or what one is made from; a link to the work tree is none
  case $1 in
    *.dist-info) ! grep -qs '"editable": *true' "$1/direct_url.json" && ! grep -qs __editable__ "$1/RECORD" ;;
    *.egg-info | *.egg | *.whl | *.tar.gz | *.tar.bz2 | *.tgz | *.zip | *.conda) ;;
    */pkgs/* | */conda-meta/*.json) ;;
    *) return 1 ;;
  esac
}

each_copy() { # CALL: with what holds a later version of the package
  local base path
  base=$(base_version)
  [ -n "$base" ] || return 0
  while IFS= read -r path; do
    [ -e "$path" ] || continue
    case $path in
      */pip/http*)
        grep -aoiE "$(printf '%s' "$PACKAGE" | sed 's/[-_.]/[-_.]/g')-[0-9][0-9a-z.]*" "$path" | sort -u |
          while IFS= read -r name; do ! is_later "$(version_in "$name")" "$base" || echo later; done |
          grep -q later || continue
        ;;
      *) is_a_copy "$path" && is_later "$(version_in "$path")" "$base" || continue ;;
    esac
    "$1" "$path"
  done < <(grep -vE '/HEAD$|\.(bundle|pack)$' "$S/elsewhere")
}

remove_copy() { # PATH
  local path=$1 site=${1%/*}
  case $path in
    *.dist-info) sed -e 's/,[^,]*,[^,]*$//' -e 's/^"\(.*\)"$/\1/' "$path/RECORD" 2>/dev/null | remove_files "$site" ;;
    *.egg-info)
      if [ -f "$path/installed-files.txt" ]; then
        remove_files "$path" <"$path/installed-files.txt"
      else
        { cat "$path/top_level.txt" 2>/dev/null || echo "$PACKAGE"; } | sed 'p; s/$/.py/' | remove_files "$site"
      fi
      ;;
    */conda-meta/*) sed -nE '/"files": *\[/,/\]/ s/^ *"([^"]*)",?$/\1/p' "$path" | remove_files "${site%/*}" ;;
  esac
  remove_within "$path"
}

remove_files() { # FOLDER that their names begin at
  local name
  while IFS= read -r name; do
    case $name in '' | /*) continue ;; esac
    [ ! -e "$1/$name" ] || remove_within "$(cd "$1/$(dirname "$name")" && pwd -P)/${name##*/}"
  done
}

# --- all of it ---------------------------------------------------------------------------------

find_elsewhere() {
  : >"$S/clones"
  each_repository name_clone find_in_submodule
  tell 'other clones' <"$S/clones"
  each_packed_file echo >"$S/found"
  tell 'bundles and packs' <"$S/found"
  each_copy echo >"$S/found"
  tell 'later versions of the package' <"$S/found"
}

name_clone() {
  echo "$1" >>"$S/clones"
}

drop_elsewhere() {
  each_repository remove_clone drop_in_submodule
  each_packed_file remove_within
  each_copy remove_copy
}

drop_in_submodule() {
  in_submodule "$1" drop_in_repository
}

remove_clone() { # FOLDER of git's, and the files that were checked out beside it
  local folder=${1%/.git}
  case $T/ in "$folder"/*) folder=$1 ;; esac
  case $1 in "$T"/*) remove "$1" ;; */.git) remove_within "$folder" ;; *) remove_within "$1" ;; esac
}
