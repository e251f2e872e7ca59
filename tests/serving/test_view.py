"""The command that is printed, run by a shell with a docker that writes down its words."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.config.recipe import Recipe
from orchestrator.config.schema import Endpoint, Model
from orchestrator.serving.docker_command import make_run, own_template
from orchestrator.serving.server import Status, gpu_words
from orchestrator.serving.view import (
    base_url,
    differences,
    printed,
    reached_lines,
    status_lines,
    where_to_write,
)

DOCKER = """\
#!/bin/sh
for word; do printf '%s\\0' "$word"; done >"$DOCKER_WORDS"
"""
TEMPLATE = "{{ a }}\n'END' \"$HOME\"\nEND\n"


def paste(script: str, shell: str, folder: Path) -> list[str]:
    """The words that docker gets where a person pastes the script."""
    program = folder / "docker"
    program.write_text(DOCKER)
    program.chmod(0o755)
    words = folder / "words"
    env = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(folder / "it's home"),
        "DOCKER_WORDS": str(words),
    }
    subprocess.run([shell], input=script + "\n", env=env, cwd=folder, text=True, check=True)
    return words.read_text(encoding="utf-8").split("\0")[:-1]


@pytest.mark.parametrize("shell", [s for s in ["sh", "bash", "zsh"] if shutil.which(s)])
def test_a_pasted_command_has_every_word_as_it_was_written(
    recipe: Recipe, model: Model, tmp_path: Path, shell: str
) -> None:
    template = own_template(hashlib.sha256(TEMPLATE.encode()).hexdigest(), "it's mine.jinja")
    run = make_run(model, recipe, template=template)
    home = tmp_path / "it's home"

    words = paste(printed(run, recipe, TEMPLATE), shell, tmp_path)

    brought = home / ".cache" / template.folder / template.file_name
    wanted = [
        word.replace("$hub_cache", f"{home}/.cache/huggingface").replace("$template", str(brought))
        if word.startswith(("$hub_cache:", "$template:"))
        else word
        for word in run.words()
    ]
    assert words == wanted
    assert brought.read_text() == TEMPLATE
    assert not list(tmp_path.rglob("owned"))


def test_every_option_has_its_reason_and_source_above_it(recipe: Recipe, model: Model) -> None:
    lines = printed(make_run(model, recipe), recipe).splitlines()

    at = lines.index("    --enable-prefix-caching")
    assert lines[at - 1] == "    # prompts grow at their end (a bench)"
    assert "# a note of two lines" in lines
    assert any("drop_caches" in line for line in lines)
    assert "# other variants: nvfp4 (4 bits)" in lines


def test_the_recipes_template_is_downloaded_and_checked(recipe: Recipe, model: Model) -> None:
    script = printed(make_run(model, recipe), recipe)

    assert "curl -fsSL 'https://example.org/v1/a'\"'\"'b$(touch${IFS}owned).jinja'" in script
    assert f'echo "{"0" * 64}  $template" | sha256sum --check' in script


def test_only_what_differs_is_told() -> None:
    assert differences(["a", "b x"], ["a", "b y", "c"]) == ["- b x", "+ b y", "+ c"]


@pytest.mark.parametrize(
    ("address", "url"),
    [("spark", "http://spark:8000/v1"), ("[fd7a::1]", "http://[fd7a::1]:8000/v1")],
)
def test_the_base_url_is_one_that_runs_take(address: str, url: str) -> None:
    assert base_url(address, 8000) == url


def test_a_profile_that_has_the_address_needs_none_written(model: Model) -> None:
    assert "already" in where_to_write(model, "http://gpu.invalid:8000/v1")
    assert "--set model.endpoint.base_url=http://spark:8000/v1" in where_to_write(
        model, "http://spark:8000/v1"
    )


def test_a_profile_that_has_no_address_yet_is_written_by_init(model: Model) -> None:
    has_one = model.model_copy(update={"endpoint": Endpoint(base_url="http://old:8000/v1")})

    assert "`python -m orchestrator init --base-url http://spark:8000/v1`" in where_to_write(
        model, "http://spark:8000/v1"
    )
    assert "init" not in where_to_write(has_one, "http://spark:8000/v1")


def test_a_port_that_does_not_lead_there_is_told_with_a_tunnel(model: Model) -> None:
    lines = reached_lines(model, "me@spark", "http://spark:8000/v1", "Connection refused")

    assert "not reachable from here: Connection refused" in lines[0]
    assert "ssh -N -L 8000:127.0.0.1:8000 me@spark" in lines[1]


def test_status_tells_what_is_known() -> None:
    found = Status("spark", "c", "running", "2026-11-26 01:02:03", 23, "fp8", "i:1", 8000, "200")

    said = "\n".join(status_lines(found, "http://spark:8000/v1", ""))

    assert "running, started 2026-11-26 01:02:03 UTC, 23 restarts" in said
    assert "not healthy" not in said
    assert "GPU memory" not in said


@pytest.mark.parametrize(
    ("state", "health", "says"),
    [
        ("running", "000", "may still load"),
        ("running", "", "may still load"),
        ("running", "503", "/health answers 503"),
        ("exited", "000", "it does not run"),
        ("restarting", "000", "it does not run"),
        ("", "", "is not there on spark"),
    ],
)
def test_status_says_why_a_server_is_not_healthy(state: str, health: str, says: str) -> None:
    found = Status("spark", "c", state, port=8000, health=health)

    assert not found.is_healthy
    assert says in "\n".join(status_lines(found, "http://spark:8000/v1", ""))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("62805, 122571", "65.9 of 128.5 GB"),
        ("[N/A], [N/A]", ""),
        ("", ""),
        ("NVIDIA-SMI has failed", ""),
        ("1024, 2048\n1, 2", "1.1 of 2.1 GB"),
    ],
)
def test_memory_of_the_gpu_is_told_where_the_driver_tells(told: str, words: str) -> None:
    assert gpu_words(told) == words
