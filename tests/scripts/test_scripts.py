"""The scripts on other people's machines: a Mac without Docker, a user without a home, any path."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.commands import ODD_NAME

ROOT = Path(__file__).parents[2]
TOOLS = (
    *("bash", "cat", "cp", "cut", "date", "dirname", "env", "git", "grep", "head", "id", "mkdir"),
    *("mktemp", "patch", "ps", "rm", "sed", "sh", "sleep", "tail", "tr", "wc"),
)
"""What the scripts may take for granted; macOS has each of them."""
UV = f"""#!/bin/sh
echo "uv $* cache=$UV_CACHE_DIR" >>"$LOG"
[ "$1" != venv ] || {{
    mkdir -p .venv/bin
    ln -s {shlex.quote(sys.executable)} .venv/bin/python
    for tool in ruff mypy pytest swe-orchestrator; do
        echo '#!/bin/sh' >.venv/bin/$tool
        echo 'echo "$(basename "$0") $*" >>"$LOG"; exit "${{FAKE_EXIT:-0}}"' >>.venv/bin/$tool
        chmod +x .venv/bin/$tool
    done
}}
"""


class Machine:
    """A clone of the project on a machine that has a few tools, and fakes of some others."""

    def __init__(self, folder: Path) -> None:
        self.clone, self.home = folder / f"clone {ODD_NAME}", folder / f"home {ODD_NAME}"
        self._bin, self._log = folder / "bin", folder / "log"
        for path in (self.clone, self._bin, self.home):
            path.mkdir()
        shutil.copytree(ROOT / "scripts", self.clone / "scripts")
        for name in ("requirements.lock", "pyproject.toml"):
            (self.clone / name).write_text("#\n", encoding="utf-8")
        for tool in (*TOOLS, "basename", "ln", "chmod"):
            (self._bin / tool).symlink_to(shutil.which(tool) or tool)
        self.fake("uv", UV)
        self.fake(
            "uname", "#!/bin/sh\ncase $1 in -sm) echo Darwin arm64 ;; *) echo Darwin ;; esac\n"
        )

    def fake(self, name: str, text: str) -> None:
        path = self._bin / name
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def run(
        self, script: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        self._log.unlink(missing_ok=True)
        variables = {"PATH": str(self._bin), "HOME": str(self.home), "LOG": str(self._log)}
        return subprocess.run(
            [self._bin / "bash", f"scripts/{script}", *arguments],
            cwd=self.clone,
            env=variables | {"LANG": "C"} | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def called(self) -> list[str]:
        """The fakes that the last script called, with their arguments."""
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []


@pytest.fixture
def mac(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def docker(answers: str, *, pull: str = "exit 1", platform: str = "") -> str:
    """A `docker` whose engine answers or does not, and that has one image or none."""
    return f"""#!/bin/sh
case "$1 $2" in
    "version --format") {answers} ;;
    "version ") echo 'Client: 29.0' && echo 'Cannot connect to the daemon at x' >&2; exit 1 ;;
    "image inspect") [ "$5" = python:3.11-slim-bookworm ] && echo {platform or "; exit 1"} ;;
    "pull --quiet") {pull} ;;
esac
"""


@pytest.mark.slow
def test_the_demo_sets_up_once_and_ends_as_launch_does(mac: Machine) -> None:
    first = mac.run("demo", "--agent", "gold")
    calls = [call.split(" ", 2) for call in mac.called()]
    again = mac.run("demo", "--agent", "gold", env={"FAKE_EXIT": "4"})

    assert first.returncode == 0, first.stderr
    assert calls[:3] == [["uv", "--version", f"cache={mac.home}/.cache/uv"], *calls[1:3]]
    assert [call[:2] for call in calls[1:4]] == [["uv", "venv"], ["uv", "pip"], ["uv", "pip"]]
    assert again.returncode == 4
    (launched,) = mac.called()
    assert launched.startswith("swe-orchestrator launch demo --model configs/models/demo.yaml")
    assert launched.endswith("--agent gold")


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR"])
def test_set_up_needs_no_home_that_can_be_written(variable: str, mac: Machine) -> None:
    # root may write anywhere but below a file
    (mac.clone / "file").touch()

    done = mac.run("demo", env={variable: str(mac.clone / "file" / "home")})

    assert done.returncode == 0, done.stderr
    assert mac.called()[0].endswith(f"cache={mac.clone}/.venv-uv/cache")


@pytest.mark.slow
def test_the_tests_run_on_a_mac_without_docker(mac: Machine) -> None:
    done = mac.run("test", "-x")

    assert done.returncode == 0, done.stderr
    assert "there is no command docker on PATH). Start OrbStack, Docker Desktop" in done.stderr
    assert "Tests that need Docker will be skipped." in done.stderr
    assert "vLLM for tests runs on Linux x86_64, not on Darwin arm64" in done.stderr
    assert mac.called()[-1] == "pytest -n 3 --dist loadfile --no-loadscope-reorder -x"


@pytest.mark.slow
def test_in_ci_nothing_may_be_missing_and_what_is_missing_is_the_last_line(mac: Machine) -> None:
    """Also where another part, which was made beside it, is there."""
    mac.fake("chromium", "#!/bin/sh\n")

    done = mac.run("test", env={"CI": "true"})

    assert done.returncode == 1
    assert done.stderr.endswith("and those that need Docker can't be run here\n")
    assert "error: vLLM for tests runs on Linux x86_64" in done.stderr
    assert not any(call.startswith("pytest") for call in mac.called())


@pytest.mark.slow
def test_what_was_made_for_the_tests_is_in_their_environment(mac: Machine) -> None:
    mac.fake("chromium", "#!/bin/sh\n")
    mac.fake("docker", docker("echo 29.0", platform="linux/amd64"))
    mac.fake("uv", UV.replace('echo "$(basename "$0") $*"', "env"))

    done = mac.run("test")

    assert done.returncode == 0, done.stderr
    made = dict(line.split("=", 1) for line in mac.called() if line.startswith("SWE_"))
    assert made["SWE_ORCHESTRATOR_DEMO_BASE"] == "python:3.11-slim-bookworm"
    assert made["SWE_ORCHESTRATOR_BROWSER"].endswith("/chromium")
    assert "SWE_ORCHESTRATOR_VLLM" not in made
    assert "Docker will be skipped" not in done.stderr


def test_an_engine_that_is_not_started_is_told_in_dockers_words(mac: Machine) -> None:
    mac.fake("docker", docker("exit 1"))

    done = mac.run("docker-for-tests")

    assert (done.returncode, done.stdout) == (1, "")
    assert "(Cannot connect to the daemon at x). Start OrbStack" in done.stderr


@pytest.mark.parametrize("platform", ["", "linux/arm64"], ids=["none", "of another platform"])
def test_a_base_image_that_cannot_be_pulled_says_why(platform: str, mac: Machine) -> None:
    """Another platform's counts for none, which a pull for this one replaces."""
    why = "error getting credentials: keychain cannot be accessed"
    pull = f"echo '{why}' >&2; exit 1"
    mac.fake("docker", docker("echo 29.0", pull=pull, platform=platform))

    done = mac.run("docker-for-tests")

    assert (done.returncode, done.stdout) == (1, "")
    assert f"python:3.11-slim-bookworm can't be pulled ({why}); a base image" in done.stderr


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_a_base_image_is_there_or_pulled(platform: str, mac: Machine) -> None:
    mac.fake("docker", docker("echo 29.0", pull="echo pulled >>$LOG", platform=platform))

    done = mac.run("docker-for-tests")

    assert (done.returncode, done.stdout) == (0, "python:3.11-slim-bookworm\n"), done.stderr
    assert mac.called() == (["pulled"] if platform == "linux/arm64" else [])


def test_a_machine_without_git_is_told_of_it(mac: Machine) -> None:
    (mac._bin / "git").unlink()

    done = mac.run("check", env={"PATH": str(mac._bin)})

    assert done.returncode != 0
    assert "git is missing here: install it" in done.stderr
