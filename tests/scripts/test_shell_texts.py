"""Shell that runs on people's own machines: macOS has bash 3.2, and the tools of BSD."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = sorted(
    path
    for path in (
        *(ROOT / "scripts").iterdir(),
        ROOT / ".ci" / "run",
        # in process sandboxes too
        *(ROOT / "orchestrator").rglob("*.sh"),
    )
    if path.is_file()
    and re.match(r"#!.*sh$|# shellcheck|# (A work|What )", path.read_text().split("\n")[0])
)
DEBIAN_ONLY = {
    "lib.sh": ("apt_install",),
    "docker-for-tests": ("start_engine", "build_base"),
    "snapshot.sh": ("nobody_sets_the_clock", "keeps_change_times", "take_noted_index"),
}
"""Functions that are called where apt-get is, or on Linux alone, or end where there is no /proc."""
LINUX_ALONE = '\n[ "$(uname -sm)" = "Linux x86_64" ] || die'
"""In a script that ends there on a Mac, and so may use the tools of GNU."""

LATER_THAN_BASH_3 = {
    r"\b(mapfile|readarray)\b": "mapfile -t lines",
    r"\b(declare|local|typeset)\s+-\w*[Agn]": "declare -A found",
    r"\$\{\w+(\[[^]]*\])?[\^,]": "echo ${name^^}",
    r"\$\{[^}]*@[A-Za-z]\}": "echo ${name@Q}",
    r"\$\{\w+\[-": "echo ${names[-1]}",
    r"\$\{\w+:\s*\w+:\s*-": "echo ${name:0:-1}",
    r"\|&": "make |& cat",
    r"&>>": "make &>>log",
    r";&|;;&": "a) echo ;;&",
    r"\bcoproc\b": "coproc cat",
    r"shopt -s (globstar|lastpipe|inherit_errexit)": "shopt -s lastpipe",
    r"\bwait\s+-[nfp]": "wait -n",
    r"\bread\b[^|;\n]*\s-(N|i|t\s*0?\.)": "read -t 0.5 line",
    r"%\([^)]*\)T": "printf '%(%F)T'",
    r"\[\[?\s+-[vR]\s": "[[ -v name ]]",
    r"\{\w+\.\.\w+\.\.\w+\}": "echo {1..9..2}",
    r"\$\{?(BASHPID|EPOCHSECONDS|EPOCHREALTIME|SRANDOM)\b": "echo $BASHPID",
    r"\{\w+\}[<>]": "exec {log}>file",
    r"\blocal\s+-(\s|$)": "local -",
    # its parser takes the bracket of a pattern for the end of the substitution
    r"\$\(\s*case\b": "x=$(case $1 in a) echo ;; esac)",
}
COREUTILS = (
    r"(?<![\w-])(cp|mv|rm|ln|ls|mkdir|cat|head|tail|sort|uniq|wc|cut|tr|tee|touch|chmod|stat|date|du|df|sed"
    r"|grep|find|xargs|readlink|mktemp|base64)(?=\s)"
)
GNU_ALONE = {
    r"\b(timeout|setsid|flock|nproc|tac|shuf|\w+\dsum|realpath|numfmt|free|ionice|taskset)\b ": (
        "timeout 5 make"
    ),
    "/proc/": "cat /proc/1/comm",
    rf"{COREUTILS}[^|;&(\n]*\s--[a-z]": "sort --unique names",
    r"\bsed\b[^|;\n]*\s-\w*[ir]": "sed -i s/a/b/ file",
    r"\bgrep\b[^|;\n]*\s-\w*P": "grep -oP '\\d' file",
    r"\breadlink\s+-[fem]": "readlink -f file",
    r"\bdate\b[^|;\n]*(\s-[dI]|%N)": "date -d @0",
    r"\bstat\s+-c": "stat -c %s file",
    r"\bfind\s+-": "find -name x",
    r"\bfind\b[^|;\n]*-(printf|regextype|executable|readable)": "find . -printf %p",
    r"\bxargs\b[^|;\n]*\s-[rd]": "xargs -r rm",
    r"\bhead\b[^|;\n]*-[nc]\s*-": "head -n -1 file",
    r"XXX\.\w": "mktemp /tmp/XXXXXX.log",
    r"\bcp\b[^|;\n]*\s-\w*[tu]": "cp -u a b",
    r"\bbase64\s+-w": "base64 -w0 file",
    r"\btar\b[^|;\n]*--(transform|owner|sort|mtime)": "tar -c --owner=0 .",
    r"\bps\s+(-C|--)": "ps -C ray",
    r"\becho\s+-[eE]": "echo -e a",
}
RULES = LATER_THAN_BASH_3 | GNU_ALONE


def code_of(path: Path) -> str:
    """Without comments, texts between quotes of a here-document aside, and what is for Debian."""
    text = path.read_text(encoding="utf-8")
    for function in DEBIAN_ONLY.get(path.name, ()):
        text, found = re.subn(rf"^{function}\(\) \{{.*?^\}}", "", text, flags=re.M | re.S)
        assert found == 1, f"{path.name} has no {function} any more"
    text = re.sub(r"<<'(EOF_\d+)'\n.*?\n\1", "", text, flags=re.S)  # patches
    return re.sub(r"(^|\s)#.*", "", text, flags=re.M)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_finds_what_it_is_for(rule: str) -> None:
    assert re.search(rule, RULES[rule])


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_shell_text_runs_with_bash_3_2_and_the_tools_of_a_mac(path: Path) -> None:
    code = code_of(path)
    rules = LATER_THAN_BASH_3 if LINUX_ALONE in code else RULES

    assert {rule: found[0] for rule in rules if (found := re.search(rule, code))} == {}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_list_that_may_be_empty_is_read_where_unset_names_are_errors(path: Path) -> None:
    """bash before 4.4 takes an empty list for an unset name."""
    code = code_of(path)
    if not re.search(r"^set -\w*u", code, flags=re.M):
        return
    for line in code.splitlines():
        for name in re.findall(r"\$\{(\w+)\[[@*]\]\}", line):
            never_empty = re.search(rf"\b{name}=\(\s*[^)\s]", code)
            assert never_empty or f"${{#{name}[@]}}" in line, line


def test_the_texts_are_found() -> None:
    names = {path.name for path in TEXTS}

    assert {"lib.sh", "demo", "test", "run", "snapshot.sh", "future.sh", "build.sh"} <= names
    assert len(TEXTS) > 30
