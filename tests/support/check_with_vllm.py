"""Runs in the environment of scripts/vllm-for-tests: what vLLM's own parser says of command lines.

Reads a mapping of JSON from standard input: `commands`, a list of arguments of `vllm serve` each,
`read`, more of them, and `variables`, names of environment variables. Writes a mapping of JSON to
standard output: `problems` of the commands, a line each; `read`, what the others set;
`without_value`, `with_value` and `with_many`, the flags that take none, one, and several. It stands
alone: our package is not installed there.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import sys
from collections.abc import Iterator
from typing import Any

import vllm.envs
from vllm.config import SpeculativeConfig
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser

SETTINGS = {
    "model": "model_tag",
    "--served-model-name": "served_model_name",
    "--tool-call-parser": "tool_call_parser",
    "--reasoning-parser": "reasoning_parser",
    "--speculative-config": "speculative_config",
    "--gpu-memory-utilization": "gpu_memory_utilization",
    "--enable-prefix-caching": "enable_prefix_caching",
    "--enforce-eager": "enforce_eager",
}


def problems_of(parser: argparse.ArgumentParser, arguments: list[str]) -> Iterator[str]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed = parser.parse_args(["serve", *arguments])
            ServeSubcommand().validate(parsed)
    except SystemExit:
        yield f"refused: {said.getvalue().strip().splitlines()[-1]}"
        return
    except (TypeError, ValueError) as error:  # of the checks that follow the parser
        yield f"refused: {error}"
        return
    yield from unknown_names(parsed)


def unknown_names(parsed: argparse.Namespace) -> Iterator[str]:
    """What vLLM looks up only when the server starts."""
    tools, thoughts = parsed.tool_call_parser, parsed.reasoning_parser
    if tools and tools not in ToolParserManager.list_registered():
        yield f"no tool parser {tools}"
    if thoughts and thoughts not in ReasoningParserManager.list_registered():
        yield f"no reasoning parser {thoughts}"
    keys = {field.name for field in dataclasses.fields(SpeculativeConfig)}
    for key in set(parsed.speculative_config or {}) - keys:
        yield f"--speculative-config has no {key}"


def settings_of(parser: argparse.ArgumentParser, arguments: list[str]) -> dict[str, Any]:
    """What arguments set, in the words of flags."""
    parsed = parser.parse_args(["serve", *arguments])
    return {flag: getattr(parsed, name) for flag, name in SETTINGS.items()}


def takes(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    """Long names of flags, by what stands behind them."""
    found: dict[str, list[str]] = {"without_value": [], "with_value": [], "with_many": []}
    for action in parser._actions:
        names = [name for name in action.option_strings if name.startswith("--")]
        found["without_value" if action.nargs == 0 else "with_value"] += names
        if action.nargs == "+":
            found["with_many"] += names
    return found


def main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    parser = FlexibleArgumentParser(prog="vllm")
    serve = ServeSubcommand().subparser_init(parser.add_subparsers(dest="subparser"))
    problems = [
        f"{' '.join(arguments)}: {problem}"
        for arguments in asked["commands"]
        for problem in problems_of(parser, arguments)
    ]
    known = set(vllm.envs.environment_variables)
    problems += [f"no variable {name}" for name in asked["variables"] if name not in known]
    read = [settings_of(parser, arguments) for arguments in asked["read"]]
    print(json.dumps({"problems": problems, "read": read} | takes(serve)))


main()
