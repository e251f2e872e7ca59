"""python -m mdslate [--plain] FILE"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .html import render


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mdslate")
    parser.add_argument("file", type=Path)
    parser.add_argument("--plain", action="store_true", help="text instead of HTML")
    options = parser.parse_args(argv)
    source = options.file.read_text(encoding="utf-8")
    if options.plain:
        from .plain import to_text

        sys.stdout.write(to_text(source))
    else:
        sys.stdout.write(render(source))
    return 0


if __name__ == "__main__":
    sys.exit(main())
