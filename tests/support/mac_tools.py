"""A PATH like a Mac's: stand-ins for tools that macOS has too; they refuse what its own refuse.

Each looks at its options and then calls this host's. What macOS has not, such as timeout or setsid,
is not there at all. The options are those of macOS 13's manual pages.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

SHORT_OPTIONS = {
    "base64": "dDhi:o:b:", "basename": "as:", "cat": "belnstuv", "chmod": "fhvRHLP",
    "cksum": "o:", "cp": "RHLPafinpvclXS", "cut": "b:c:d:f:nsw", "date": "jnRur:v:f:",
    "dirname": "", "env": "iu:0vP:S:", "grep": "abcdDEFGHhIiJLlMmnOopqRSsUVvwXxyZzA:B:C:e:f:m:",
    "head": "n:c:", "id": "AFGMPagnpru", "ln": "FLPfhinsvw", "ls": "@ABCFGHILOPRSTUWabcdefghiklmno"
    "pqrstuvwxy1%,", "mkdir": "m:pv", "mktemp": "dqut:p:", "mv": "fhinv", "ps": "AaCcEefhjlMmrSTvwX"
    "xG:g:O:o:p:t:U:u:", "pwd": "LP", "readlink": "fn", "rm": "dfiIPRrvWx", "rmdir": "pv",
    "sed": "Ealnue:f:", "sleep": "", "sort": "bcCdfghik:MmnoRrsS:T:t:uVz",
    "stat": "FLnqrsxf:t:", "tail": "Fbc:n:qrf", "tee": "ai", "touch": "Aacfhmr:t:d:",
    "tr": "Ccdsu", "uname": "amnoprsv", "uniq": "cdDuif:s:", "wc": "cLlmw",
    "xargs": "0oprtE:I:J:L:n:P:R:S:s:",
}  # fmt: skip
FIND_WORDS = {
    *("-H", "-L", "-P", "-name", "-iname", "-path", "-type", "-size", "-newer", "-mtime", "-perm"),
    *("-user", "-group", "-empty", "-maxdepth", "-mindepth", "-depth", "-prune", "-print", "-o"),
    *("-print0", "-delete", "-exec", "-execdir", "-not", "-true", "-false", "-quit", "-a"),
}
AS_THEY_ARE = ("awk", "bash", "git", "patch", "perl", "sh")
STAND_IN = """#!{python} -IS
import getopt, os, sys
tool, words = os.path.basename(sys.argv[0]), sys.argv[1:]
if tool == "find":
    end = next((i for i, word in enumerate(words) if word in ("-exec", "-execdir", "-ok")), None)
    wrong = [w for w in words[:end] if w[:1] == "-" and w[1:2].isalpha() and w not in {find}]
    wrong += ["no folder"] * (not words or words[0][:1] == "-" and len(words[0]) > 2)
else:
    try:
        _, operands = getopt.getopt(words, {short}[tool])
        ended = "--" in words or tool in ("env", "xargs")
        wrong = [] if ended else [w for w in operands if w[:1] == "-" and len(w) > 1]
    except getopt.GetoptError as error:
        wrong = [error.msg]
if wrong:
    print(f"{{tool}}: illegal option on a Mac: {{wrong}}", file=sys.stderr)
    sys.exit(64)
os.execv({real}[tool], [tool, *words])
"""


def lay_out(folder: Path) -> str:
    """Makes the folder, and returns the PATH. On a Mac it is the system's own."""
    if sys.platform == "darwin":
        return "/usr/bin:/bin:/usr/sbin:/sbin"
    folder.mkdir()
    real = {tool: shutil.which(tool) for tool in (*SHORT_OPTIONS, "find")}
    text = STAND_IN.format(
        python=Path(sys.executable).resolve(), find=FIND_WORDS, short=SHORT_OPTIONS, real=real
    )
    for tool in real:
        (folder / tool).write_text(text, encoding="utf-8")
        (folder / tool).chmod(0o755)
    for tool in AS_THEY_ARE:
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    (folder / "python3").symlink_to(Path(sys.executable).resolve())
    return str(folder)
