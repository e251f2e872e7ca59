"""The command line as people meet it: exit codes, one line for what they can mend, and --help.

Most cases call `main` in this process, which is quicker by the second that each import takes; one
of every exit code runs as `python -m orchestrator`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from orchestrator import __version__
from orchestrator.agents.sweagent.installation import Installation
from orchestrator.agents.sweagent.paths import SweAgentFolder
from orchestrator.cli import main
from orchestrator.config import RunRequest, load_config
from orchestrator.dataset import Dataset
from orchestrator.paths import RunPaths, write_atomic
from orchestrator.run.folder import create_run
from orchestrator.run.lock import RunLock

ALL_COMMANDS = (
    *("launch", "resume", "status", "report", "clean", "grade"),
    *("benchmarks", "models", "config", "config show"),
    *("agents", "agents list", "agents install"),
)
GOOD = {"instance_id": "orchard__ledger-12", "model_name_or_path": "m", "model_patch": ""}


@dataclass(frozen=True)
class Wrong:
    """What is asked, and what it must come to."""

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
    "run exists": Wrong("launch demo --runs-dir {runs} --run-id there", 2, "resume there"),
    "other agent to install": Wrong("agents install other", 2, "only sweagent is installed"),
    "other platform": Wrong("agents install sweagent --platform dos", 2, "known: linux/amd64"),
    "no run": Wrong("resume nothing --runs-dir {runs}", 2, "no run 'nothing'"),
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
    "corrupt journal, resume": Wrong("resume corrupt --runs-dir {runs}", 3, "can't be used"),
    "corrupt journal, report": Wrong("report corrupt --runs-dir {runs}", 3, "can't be used"),
    "corrupt journal, status": Wrong("status corrupt --runs-dir {runs}", 3, "can't be used"),
    "predictions: none": Wrong("grade demo -p {tmp}/none.jsonl", 2, "No such file"),
    "predictions: no JSON": Wrong("grade demo -p {tmp}/broken.jsonl", 2, "model_patch"),
    "predictions: keys": Wrong("grade demo -p {tmp}/keys.jsonl", 2, "model_patch"),
    "predictions: empty": Wrong("grade demo -p {tmp}/empty.jsonl", 2, "holds none"),
    "predictions: twice": Wrong("grade demo -p {tmp}/twice.jsonl", 2, "more than one for"),
    "predictions: models": Wrong("grade demo -p {tmp}/models.jsonl", 2, "more than one model"),
    "predictions: strangers": Wrong(
        "grade demo -p {tmp}/strangers.jsonl --runs-dir {tmp}/new", 2, "does not hold"
    ),
}


@dataclass(frozen=True)
class Done:
    exit_code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def folders(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Runs that are there, one of them corrupt, and predictions with something wrong."""
    tmp = tmp_path_factory.mktemp("cli")
    runs = tmp / "runs"
    for run_id in ("there", "corrupt"):
        request = RunRequest(
            "demo", run_id=run_id, runs_dir=str(runs), settings={"cluster.sandbox.kind": "process"}
        )
        paths = RunPaths(runs / run_id)
        create_run(paths, load_config(request), demo, RunLock())
    paths.journal.write_bytes(b"no database at all" * 500)
    files = {
        "broken": "{",
        "keys": json.dumps({"instance_id": "x"}),
        "empty": "",
        "twice": f"{json.dumps(GOOD)}\n{json.dumps(GOOD)}",
        "models": f"{json.dumps(GOOD)}\n"
        + json.dumps(GOOD | {"model_name_or_path": "n", "instance_id": "y"}),
        "strangers": json.dumps(GOOD | {"instance_id": "stranger__x-1"}),
    }
    for name, text in files.items():
        (tmp / f"{name}.jsonl").write_text(text, encoding="utf-8")
    nowhere = "--set model.endpoint.base_url=http://127.0.0.1:9/v1"
    return {"tmp": str(tmp), "runs": str(runs), "nowhere": nowhere}


def as_process(args: str, folders: dict[str, str], **env: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *args.format(**folders).split()],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | env,
        cwd=folders["tmp"],
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def say(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Done]:
    """What the command line says to some arguments."""
    monkeypatch.chdir(folders["tmp"])
    monkeypatch.setenv("SWE_ORCHESTRATOR_CACHE", str(Path(folders["tmp"], "cache")))

    def ask(args: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["orchestrator", *args.format(**folders).split()])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return ask


def assert_one_line(done: Done, exit_code: int, says: str) -> None:
    assert "Traceback" not in done.err
    assert done.exit_code == exit_code, done.err
    assert says in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("name", WRONG)
def test_what_a_person_can_mend_is_one_line_and_an_exit_code_of_its_kind(
    name: str, say: Callable[[str], Done], folders: dict[str, str]
) -> None:
    case = WRONG[name]

    assert_one_line(say(case.args), case.exit_code, case.says)

    assert not Path(folders["tmp"], "new").exists(), "what is refused leaves no folder"


@pytest.mark.parametrize("name", ["unknown model", "corrupt journal, resume"])
def test_the_process_ends_with_the_same_line_and_exit_code(
    name: str, folders: dict[str, str]
) -> None:
    case = WRONG[name]

    assert_one_line(as_process(case.args, folders), case.exit_code, case.says)


@pytest.mark.slow  # the hub's client takes four seconds to import
def test_without_a_network_a_hub_dataset_is_a_prerequisite(folders: dict[str, str]) -> None:
    done = as_process("launch lite -a gold --dry-run", folders, HF_HUB_OFFLINE="1")

    assert_one_line(done, 3, "--dataset-dir")


def test_a_persona_that_is_none_is_refused_before_the_run_is_laid_out(
    say: Callable[[str], Done], folders: dict[str, str]
) -> None:
    args = "launch demo --sandbox process --runs-dir {tmp}/new --set model.personas.default=sloves"

    assert_one_line(say(args), 2, "sloves")

    assert not Path(folders["tmp"], "new").exists()


@pytest.mark.parametrize("command", ["", *ALL_COMMANDS])
def test_every_command_has_help(command: str, say: Callable[[str], Done]) -> None:
    done = say(f"{command} --help")

    assert (done.exit_code, done.err) == (0, "")
    assert f"Usage: python -m orchestrator {command}" in done.out
    assert "  orchestrator" not in done.out, "an example uses another name of the command"


def test_help_names_every_command(folders: dict[str, str]) -> None:
    done = as_process("--help", folders)

    assert (done.exit_code, done.err) == (0, "")
    assert all(command.split()[0] in done.out for command in ALL_COMMANDS)


def test_a_wrong_option_is_wrong_usage(say: Callable[[str], Done]) -> None:
    assert say("launch demo --no-such-option").exit_code == 2
    assert say("launch").exit_code == 2
    assert say("no-such-command").exit_code == 2


def fine(done: Done) -> str:
    assert (done.exit_code, done.err) == (0, "")
    return done.out


def test_the_version_is_printed(say: Callable[[str], Done]) -> None:
    assert fine(say("--version")).strip() == __version__


def test_a_dry_run_says_everything_and_writes_nothing(folders: dict[str, str]) -> None:
    before = sorted(Path(folders["tmp"]).rglob("*"))

    plan = json.loads(fine(as_process("launch demo --dry-run --json", folders)))

    assert len(plan["rollouts"]) == 12
    assert (plan["benchmark"], plan["model"], plan["agent"]) == ("demo", "scripted", "mini")
    assert plan["slots"]["rollout"] >= 1
    assert sorted(Path(folders["tmp"]).rglob("*")) == before


def test_a_dry_run_shows_the_selection(say: Callable[[str], Done]) -> None:
    args = "launch demo --dry-run --json --shuffle --seed 3 --slice 0:2 -a gold --sandbox process"

    plan = json.loads(fine(say(args)))

    assert len(plan["rollouts"]) == 2
    assert plan["model"] is None


def test_a_dry_run_names_the_address_that_is_missing(say: Callable[[str], Done]) -> None:
    plan = json.loads(fine(say("launch demo -m gemma-4-26b --dry-run --json --sandbox process")))

    (problem,) = plan["problems"]
    assert "models/gemma-4-26b.yaml:4" in problem


def test_the_configuration_is_shown_with_where_it_comes_from(say: Callable[[str], Done]) -> None:
    shown = json.loads(fine(say("config show demo --json --set rollout.max_steps=7")))

    assert shown["rollout.max_steps"] == {"value": 7, "from": "--set rollout.max_steps"}
    assert shown["rollout.time_limit_s"]["from"].endswith("benchmarks/demo.yaml")


@pytest.mark.parametrize("args", ["config show demo", "status --runs-dir {runs}/.."])
def test_tables_are_printed_for_people(args: str, say: Callable[[str], Done]) -> None:
    assert fine(say(args))


@pytest.mark.parametrize(
    ("kind", "name"), [("models", "scripted"), ("agents", "gold"), ("benchmarks", "lite")]
)
def test_profiles_are_listed(kind: str, name: str, say: Callable[[str], Done]) -> None:
    assert name in [row["name"] for row in json.loads(fine(say(f"{kind} --json")))]
    assert name in fine(say(kind))


def test_agents_are_listed_without_naming_the_command(say: Callable[[str], Done]) -> None:
    assert say("agents") == say("agents list")
    assert say("agents --json") == say("agents list --json")


def test_where_sweagent_is_not_installed_the_command_that_does_it_is_reported(
    say: Callable[[str], Done],
) -> None:
    rows = json.loads(fine(say("agents list --json")))

    assert "`python -m orchestrator agents install sweagent` does that" in fine(say("agents"))
    installed = {row["name"]: row["installed"] for row in rows if "installed" in row}
    assert installed == {"sweagent": None, "sweagent-tools": None, "sweagent-xml": None}
    assert {row["kind"] for row in rows} >= {"sweagent", "mini", "gold", "nop"}


def test_an_installed_sweagent_is_listed_with_its_versions(
    say: Callable[[str], Done],
) -> None:
    found = Installation(
        folder="one",
        source="https://somewhere",
        ref="v1.1.0",
        commit="c0ffee0c0ffee0c0ffee",
        versions={"sweagent": "1.1.0", "swe-rex": "1.4.0"},
        platforms=("linux/amd64", "linux/arm64"),
    )
    cache = Path(os.environ["SWE_ORCHESTRATOR_CACHE"])
    assert cache.name == "cache", "never the user's own"
    write_atomic(SweAgentFolder.of_user().manifest, json.dumps(asdict(found)))
    write_atomic(found.paths.python, "")
    try:
        said = fine(say("agents")).split()
        rows = json.loads(fine(say("agents --json")))
    finally:
        shutil.rmtree(cache)

    told = "SWE-agent v1.1.0 (c0ffee0c0ffe) with SWE-ReX 1.4.0, for sandboxes of linux/amd64,"
    assert told in " ".join(said)
    (row,) = [row for row in rows if row["name"] == "sweagent"]
    assert row["installed"] == {
        "folder": str(found.paths.root),
        "source": "https://somewhere",
        "ref": "v1.1.0",
        "commit": "c0ffee0c0ffee0c0ffee",
        "versions": {"sweagent": "1.1.0", "swe-rex": "1.4.0"},
        "platforms": ["linux/amd64", "linux/arm64"],
    }


def test_a_run_that_never_started_is_to_be_resumed(say: Callable[[str], Done]) -> None:
    (row,) = json.loads(fine(say("status there --json --runs-dir {runs}")))

    assert (row["run_id"], row["state"], row["attempted"]) == ("there", "to be resumed", 0)


def test_one_corrupt_run_does_not_hide_the_others(say: Callable[[str], Done]) -> None:
    assert "there" in say("status --runs-dir {runs}").out


def test_a_run_that_never_started_has_a_report_that_is_not_valid(
    say: Callable[[str], Done],
) -> None:
    found = json.loads(fine(say("report there --json --runs-dir {runs}")))

    assert not found["valid"]
    assert found["failures"] == {"not_started": 12}
