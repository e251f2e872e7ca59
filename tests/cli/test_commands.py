"""What all commands have in common: exit codes, one line for what people can mend, and --help.

Most cases call `main` in this process, which is quicker by the second that each import takes; one
of every exit code runs as `python -m orchestrator`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.commands import Ended

from orchestrator import __version__

pytestmark = pytest.mark.slow

Say = Callable[..., Ended]
ALL_COMMANDS = (
    *("launch", "resume", "status", "report", "clean", "grade", "decide"),
    *("matrix", "matrices"),
    *("bench", "benchmarks", "config", "config show"),
    *("init", "models", "models list", "models add"),
    *("agents", "agents list", "agents install"),
)


@dataclass(frozen=True)
class Wrong:
    """A command, and the exit code and the words that it must end with."""

    args: str
    exit_code: int
    says: str


WRONG = {
    "unknown model": Wrong("launch demo -m scriptd", 2, "did you mean 'scripted'"),
    "unknown agent": Wrong("launch demo -a gol", 2, "did you mean 'gold'"),
    "unknown benchmark": Wrong("launch dem", 2, "did you mean 'demo'"),
    "unknown cluster": Wrong("launch demo -c locl", 2, "did you mean 'local'"),
    "unknown key": Wrong("launch demo --set rollout.max_step=3", 2, "did you mean 'max_steps'"),
    "no address": Wrong("launch demo -m qwen3.5-35b", 3, "models/qwen3.5-35b.yaml:4"),
    "wrong value": Wrong("launch demo --set rollout.max_steps=many", 2, "rollout.max_steps"),
    "wrong setting": Wrong("config show demo --set rollout.max_steps", 2, "key=value"),
    "wrong workers": Wrong("launch demo -w 0", 2, "cluster.workers"),
    "wrong sandbox": Wrong("launch demo --sandbox vm", 2, "cluster.sandbox.kind"),
    "wrong slice": Wrong("launch demo --slice 5", 2, "START:STOP"),
    "wrong run id": Wrong("launch demo --run-id ../up", 2, "run id"),
    "unknown instance": Wrong("launch demo -i orchard__ledger-13", 2, "did you mean"),
    "no such file": Wrong("launch {tmp}/none.jsonl -a gold", 2, "no such file"),
    "run exists": Wrong(
        "launch demo --runs-dir {runs} --run-id there", 2, "there` goes on with it"
    ),
    "other agent to install": Wrong(
        "agents install other", 2, "installed this way is sweagent and openhands"
    ),
    "other platform": Wrong("agents install sweagent --platform dos", 2, "known: linux/amd64"),
    "unknown matrix": Wrong("matrix evenin", 2, "did you mean 'evening"),
    "no matrix file": Wrong("matrix {tmp}/none.yaml", 2, "No such file"),
    "matrix's own id too long": Wrong(f"matrix {{tmp}}/m.yaml --run-id {'x' * 61}", 2, "run id"),
    "wrong key in a matrix": Wrong("matrix {tmp}/m.yaml --set rollout.max_step=3", 2, "max_steps"),
    "model away in a matrix": Wrong(
        "matrix {tmp}/m.yaml --sandbox process --runs-dir {tmp}/new {nowhere}",
        3,
        "not served now",
    ),
    "matrix exists": Wrong("matrix {tmp}/m.yaml --runs-dir {runs} --run-id there", 2, "exists"),
    "no run": Wrong("resume nothing --runs-dir {runs}", 2, "no run 'nothing'"),
    "resume with another limit": Wrong(
        "resume there --runs-dir {runs} --set rollout.max_steps=1", 2, "start a new run"
    ),
    "resume with an unknown key": Wrong(
        "resume there --runs-dir {runs} --set cluster.worker=1", 2, "did you mean 'workers'"
    ),
    "resume with half a setting": Wrong(
        "resume there --runs-dir {runs} --set cluster.workers", 2, "key=value"
    ),
    "no such run nearby": Wrong("report ther --runs-dir {runs}", 2, "did you mean 'there'"),
    "no runs": Wrong("status nothing --runs-dir {tmp}/none", 2, "holds no runs"),
    "no endpoint": Wrong(
        "launch demo --sandbox process --runs-dir {tmp}/new {nowhere}",
        3,
        "model.endpoint.base_url",
    ),
    "no key": Wrong(
        "launch demo --sandbox process --runs-dir {tmp}/new {nowhere} "
        "--set model.endpoint.api_key_env=NO_SUCH_KEY_HERE",
        3,
        "$NO_SUCH_KEY_HERE is not set",
    ),
    "no disk": Wrong(
        "launch demo --runs-dir {tmp}/new --set cluster.min_free_disk_gb=1e9", 3, "GB free"
    ),
    "decide: what": Wrong("decide there x --runs-dir {runs}", 2, "one of them is needed"),
    "decide: both": Wrong("decide there x --unresolved --again --runs-dir {runs}", 2, "not both"),
    "decide: why": Wrong("decide there x --again --runs-dir {runs}", 2, "--because"),
    "decide: of what": Wrong(
        "decide there x --again --because y --runs-dir {runs}", 2, "has no instance 'x'"
    ),
    "decide: nothing": Wrong(
        "decide there --again --because y --runs-dir {runs}", 2, "is set aside"
    ),
    "corrupt journal, decide": Wrong(
        "decide corrupt x --again --because y --runs-dir {runs}", 3, "can't be used"
    ),
    "corrupt journal, resume": Wrong("resume corrupt --runs-dir {runs}", 3, "can't be used"),
    "corrupt journal, report": Wrong("report corrupt --runs-dir {runs}", 3, "can't be used"),
    "corrupt journal, status": Wrong("status corrupt --runs-dir {runs}", 3, "can't be used"),
    "predictions: none": Wrong("grade demo -p {tmp}/none.jsonl", 2, "No such file"),
    "predictions: no JSON": Wrong("grade demo -p {tmp}/broken.jsonl", 2, "line 1: not JSON"),
    "predictions: a list for a patch": Wrong(
        "grade demo -p {tmp}/list.jsonl", 2, "line 2: model_patch is a list"
    ),
    "a name too long": Wrong("launch " + "x" * 300, 2, "unknown benchmark"),
    "a folder of runs too long": Wrong(
        "launch demo -a nop --runs-dir " + "x" * 300, 2, "File name too long"
    ),
    "a folder of runs too long, status": Wrong(
        "status --runs-dir " + "x" * 300, 2, "File name too long"
    ),
    "a run's name too long": Wrong("resume " + "x" * 300, 2, "no run"),
    "nobody's home": Wrong("launch ~nobody-here/rows.jsonl -a nop", 2, "no such file"),
    "rows that leave the folder": Wrong(
        "launch {tmp}/escape.jsonl -a nop", 2, "line 1 (../../escape): instance_id"
    ),
    "rows in another kind of file": Wrong(
        "launch {tmp}/rows.csv -a nop", 2, "ends in one of .parquet, .jsonl, .json"
    ),
    "predictions: keys": Wrong("grade demo -p {tmp}/keys.jsonl", 2, "model_patch"),
    "predictions: empty": Wrong("grade demo -p {tmp}/empty.jsonl", 2, "holds none"),
    "predictions: twice": Wrong("grade demo -p {tmp}/twice.jsonl", 2, "more than one for"),
    "predictions: models": Wrong("grade demo -p {tmp}/models.jsonl", 2, "more than one model"),
    "predictions: strangers": Wrong(
        "grade demo -p {tmp}/strangers.jsonl --runs-dir {tmp}/new", 2, "does not hold"
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_person_can_mend_is_one_line_and_an_exit_code_of_its_kind(
    name: str, say: Say, folders: dict[str, str]
) -> None:
    case = WRONG[name]

    say(case.args).assert_one_line(case.exit_code, case.says)

    assert not Path(folders["tmp"], "new").exists(), "what is refused leaves no folder"


@pytest.mark.parametrize("name", ["unknown model", "corrupt journal, resume"])
def test_the_process_ends_with_the_same_line_and_exit_code(name: str, as_process: Say) -> None:
    case = WRONG[name]

    as_process(case.args).assert_one_line(case.exit_code, case.says)


@pytest.mark.parametrize("command", ["", *ALL_COMMANDS])
def test_every_command_has_help(command: str, say: Say) -> None:
    said = say(f"{command} --help").succeeded()

    assert f"Usage: python -m orchestrator {command}" in said
    assert "  orchestrator" not in said, "an example uses another name of the command"


def test_help_names_every_command(as_process: Say) -> None:
    said = as_process("--help").succeeded()

    assert all(command.split()[0] in said for command in ALL_COMMANDS)


def test_a_wrong_option_is_wrong_usage(say: Say) -> None:
    assert say("launch demo --no-such-option").exit_code == 2
    assert say("launch").exit_code == 2
    assert say("no-such-command").exit_code == 2


def test_the_version_is_printed(say: Say) -> None:
    assert say("--version").succeeded().strip() == __version__


def test_an_argument_that_is_no_text_is_told(folders: dict[str, str]) -> None:
    command = [sys.executable, "-m", "orchestrator", "launch", b"demo\xff"]

    done = subprocess.run(command, capture_output=True, text=True, cwd=folders["tmp"])

    Ended(done.returncode, done.stdout, done.stderr).assert_one_line(2, "is no text in UTF-8")
