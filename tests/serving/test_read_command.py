"""People's command lines of vLLM, read; what starts no server of vLLM's is one clear line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.errors import ConfigError
from orchestrator.serving.command import ServerCommand
from orchestrator.serving.read_command import read_argv, read_command

SPECULATIVE = '{"method": "mtp", "num_speculative_tokens": 2}'
FLAGS = (("--max-num-seqs", "8"), ("--enforce-eager", None))


@pytest.mark.parametrize(
    "text",
    [
        "vllm serve a/model --max-num-seqs 8 --enforce-eager",
        "vllm serve a/model --max_num_seqs=8 --enforce_eager",
        "vllm serve --max-num-seqs=8 --enforce-eager a/model",
        "vllm serve --max-num-seqs 8 --enforce-eager --model a/model",
        "$ vllm serve a/model \\\n    --max-num-seqs 8 \\\n    --enforce-eager   # why not\n",
        "vllm serve a/model\n  --max-num-seqs 8\n  --enforce-eager",
        "/opt/vllm/bin/vllm serve 'a/model' --max-num-seqs '8' --enforce-eager",
        "python -m vllm.entrypoints.openai.api_server --model a/model --max-num-seqs 8 "
        "--enforce-eager",
        "python3 -u -m vllm.entrypoints.openai.api_server --model=a/model --max-num-seqs 8 "
        "--enforce-eager",
        "python -m vllm.entrypoints.cli.main serve a/model --max-num-seqs 8 --enforce-eager",
        "uv run --with vllm vllm serve a/model --max-num-seqs 8 --enforce-eager",
        "sudo -E nohup vllm serve a/model --max-num-seqs 8 --enforce-eager > vllm.log 2>&1 &",
        ". .venv/bin/activate && vllm serve a/model --max-num-seqs 8 --enforce-eager | tee log",
        "ollama stop x; vllm serve a/model --max-num-seqs 8 --enforce-eager",
        "ssh spark 'vllm serve a/model --max-num-seqs 8 --enforce-eager'",
        """ssh spark "bash -lc 'vllm serve a/model --max-num-seqs 8 --enforce-eager'" """,
        'tmux new -d -s llm "vllm serve a/model --max-num-seqs 8 --enforce-eager"',
        "docker exec -d box vllm serve a/model --max-num-seqs 8 --enforce-eager",
        "ssh spark <<EOF\nvllm serve a/model --max-num-seqs 8 --enforce-eager\nEOF",
        "vllm serve a/model --max-num-seqs 8 --enforce",  # cut short, as argparse takes it
    ],
)
def test_a_command_line_is_read_however_it_is_written(text: str) -> None:
    assert read_command(text) == ServerCommand("a/model", FLAGS)


@pytest.mark.parametrize(
    "text",
    [
        "docker run vllm/vllm-openai:v0.30.0 a/model --max-num-seqs 8 --enforce-eager",
        "docker run vllm/vllm-openai:v0.30.0 serve a/model --max-num-seqs 8 --enforce-eager",
        "docker run vllm/vllm-openai:v0.30.0 --model a/model --max-num-seqs 8 --enforce-eager",
        "docker run vllm/vllm-openai:v0.30.0 vllm serve a/model --max-num-seqs 8 --enforce-eager",
        "sudo docker run -itd --gpus all --ipc=host --network host --shm-size 16g --rm --name x "
        "-p8000:8000 --env-file .env --restart unless-stopped vllm/vllm-openai:v0.30.0 \\\n"
        "  --model a/model \\\n  --max-num-seqs 8 --enforce-eager",
        "docker --context spark container run -d vllm/vllm-openai:v0.30.0 a/model --max-num-seqs 8 "
        "--enforce-eager",
        "podman run --device nvidia.com/gpu=all vllm/vllm-openai:v0.30.0 a/model --max-num-seqs 8 "
        "--enforce-eager",
        "docker create --entrypoint vllm vllm/vllm-openai:v0.30.0 serve a/model --max-num-seqs 8 "
        "--enforce-eager",
        "docker run --entrypoint=bash vllm/vllm-openai:v0.30.0 -c 'vllm serve a/model "
        "--max-num-seqs 8 --enforce-eager'",
        "docker run vllm/vllm-openai:v0.30.0 python3 -m vllm.entrypoints.openai.api_server --model "
        "a/model --max-num-seqs 8 --enforce-eager",
        "ssh spark 'docker run vllm/vllm-openai:v0.30.0 a/model --max-num-seqs 8 --enforce-eager'",
    ],
)
def test_a_container_is_read_however_it_is_written(text: str) -> None:
    image = "vllm/vllm-openai:v0.30.0"

    assert read_command(text) == ServerCommand("a/model", FLAGS, image=image)


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("A=1 vllm serve m", {"A": "1"}),
        ("env A=1 B='b c' vllm serve m", {"A": "1", "B": "b c"}),
        ("export A=1\nexport B=2 C=3\nvllm serve m", {"A": "1", "B": "2", "C": "3"}),
        ("A=1\nvllm serve m", {"A": "1"}),
        (
            "docker run -e A=1 --env B=2 -eC=3 --env=D=4 x/vllm:1 m",
            {"A": "1", "B": "2", "C": "3", "D": "4"},
        ),
        ("export A=1; docker run -e A -e B x/vllm:1 m", {"A": "1"}),
        ("A=1 docker run x/vllm:1 m", {}),  # the engine's client has it, and not the container
        ("docker run x/vllm:1 env A=1 vllm serve m", {"A": "1"}),
    ],
)
def test_the_servers_variables_are_read(text: str, env: Mapping[str, str]) -> None:
    assert read_command(text).env == env


@pytest.mark.parametrize(
    ("options", "mounts"),
    [
        ("-v ~/.cache/hf:/hf", ["~/.cache/hf:/hf"]),
        ("-v $(pwd)/t:/t:ro --volume '/a b:/c'", ["$(pwd)/t:/t:ro", "/a b:/c"]),
        ("--mount type=bind,source=/a,target=/b,readonly", ["/a:/b:ro"]),
        ("--mount type=bind,src=/a,dst=/b", ["/a:/b"]),
    ],
)
def test_mounts_are_read(options: str, mounts: list[str]) -> None:
    command = read_command(f"docker run --gpus all {options} vllm/vllm-openai:v0.30.0 m")

    assert (list(command.mounts), command.weights) == (mounts, "m")


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (f"--speculative-config '{SPECULATIVE}'", [("--speculative-config", SPECULATIVE)]),
        (f"--speculative_config='{SPECULATIVE}'", [("--speculative-config", SPECULATIVE)]),
        (f"-sc '{SPECULATIVE}'", [("--speculative-config", SPECULATIVE)]),
        ("--speculative-config.num_tokens 2", [("--speculative-config.num_tokens", "2")]),
        ("-sc.method=mtp", [("--speculative-config.method", "mtp")]),
        ("--served-model-name a b c --port 1", [("--served-model-name", "a b c"), ("--port", "1")]),
        ("-tp 2 -q=fp8", [("--tensor-parallel-size", "2"), ("--quantization", "fp8")]),
        ("-O0", [("--optimization-level", "0")]),
        ("-O 3", [("--optimization-level", "3")]),
        ("-O.cudagraph_mode=NONE", [("--compilation-config.cudagraph_mode", "NONE")]),
        ("--max-logprobs -1", [("--max-logprobs", "-1")]),
        ("--no-enable-prefix-caching", [("--no-enable-prefix-caching", None)]),
        ("--port 1 --port 2", [("--port", "1"), ("--port", "2")]),
        ("--gpu-memory-util 0.9", [("--gpu-memory-utilization", "0.9")]),
        ("--chat-template ''", [("--chat-template", "")]),
        ("--chat-template", [("--chat-template", None)]),
        ("--", []),
        ("-", []),
    ],
)  # fmt: skip
def test_flags_are_read_as_vllm_reads_them(words: str, flags: list[tuple[str, str | None]]) -> None:
    command = read_command(f"vllm serve m {words}")

    assert (command.weights, list(command.flags)) == ("m", flags)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "an empty command line starts no server of vLLM"),
        ("   \n", "an empty command line"),
        ("hello", "'hello' starts no server of vLLM: write it as `vllm serve MODEL …`"),
        ("vllm bench serve --model m", "starts no server"),
        ("vllm", "starts no server"),
        ("ollama serve", "that starts Ollama"),
        ("OLLAMA_HOST=0.0.0.0 ollama serve", "that starts Ollama"),
        ("docker run -d -p 11434:11434 ollama/ollama", "that starts Ollama"),
        ("./llama-server -m gemma.gguf -c 32768", "that starts llama.cpp"),
        ("/opt/llama.cpp/build/bin/llama-server -m x", "that starts llama.cpp"),
        ("python -m llama_cpp.server --model x", "that starts llama.cpp"),
        ("python3 -m sglang.launch_server --model-path m", "that starts SGLang"),
        ("docker run --gpus all lmsysorg/sglang:v0.5.20 sglang serve m", "that starts SGLang"),
        ("ssh box 'ollama serve'", "that starts Ollama"),
        ("docker run ghcr.io/huggingface/text-generation-inference:3 --model-id m", "TGI"),
        ("trtllm-serve m", "TensorRT-LLM"),
        ("docker run", "names no image"),
        ("docker run --gpus all", "names no image"),
        ("docker run my/own:1 --model m", "'my/own:1' is not known to start vLLM by itself"),
        ("docker run -it vllm/vllm-openai:v0.30.0 bash", "is not known to start vLLM"),
        ("docker run --entrypoint sleep vllm/vllm-openai:v0.30.0 infinity", "not known to start"),
        ("docker ps", "starts no server"),
        ("vllm serve 'm", "can't be read: a quote (') is not closed"),
        ('vllm serve m --x "{', "can't be read: a quote (\") is not closed"),
        ("services:\n  vllm:\n    image: vllm/vllm-openai:v0.30.0", "starts no server"),
        ("{}", "starts no server"),
        ("\x1b[2J vllm", "starts no server"),
        ("a" * 100_000, "starts no server"),
        ("\n" * 100_000, "an empty command line"),
        ("'" * 99_999, "is not closed"),
    ],
)
def test_what_starts_no_server_of_vllm_is_one_clear_line(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_command(text)

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400


IMAGE = "vllm/vllm-openai:v0.30.0"
MODULE = "vllm.entrypoints.openai.api_server"


@pytest.mark.parametrize(
    "argv",
    [
        ["vllm", "serve", "a/model", "--max-num-seqs", "8", "--enforce-eager"],
        ["a/model", "--max-num-seqs", "8", "--enforce-eager"],
        ["--model", "a/model", "--max-num-seqs=8", "--enforce-eager"],
        ["/bin/bash", "-c", "vllm serve a/model --max-num-seqs 8 --enforce-eager"],
        [
            "python3",
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            "a/model",
            "--max-num-seqs",
            "8",
            "--enforce-eager",
        ],
    ],
)
def test_a_container_that_runs_is_read(argv: list[str]) -> None:
    command = read_argv(argv, IMAGE, {"A": "1"}, ["/a:/b"])

    assert command == ServerCommand("a/model", FLAGS, IMAGE, {"A": "1"}, ("/a:/b",))


def test_a_process_that_runs_is_read() -> None:
    argv = ["/venv/bin/python", "/venv/bin/vllm", "serve", "a model", "--chat-template", "a b"]

    assert read_argv(argv) == ServerCommand("a model", (("--chat-template", "a b"),))


@pytest.mark.parametrize(
    ("argv", "image"),
    [([], ""), (["ollama", "serve"], ""), (["serve"], "ollama/ollama"), (["sleep", "1"], IMAGE)],
)
def test_what_runs_and_is_no_server_of_vllm_is_one_clear_line(argv: list[str], image: str) -> None:
    with pytest.raises(ConfigError, match=r"^[^\n]+$"):
        read_argv(argv, image)


PIECES = (
    *("docker", "run", "vllm", "serve", "-e", "--env", "A=1", "-m", IMAGE, "--mount", "-c", "ssh"),
    *(
        "--model",
        "--speculative-config",
        "{",
        "--entrypoint",
        "-v",
        "",
        "-",
        "--",
        "-O",
        "=",
        "-it",
    ),
    *("vllm.entrypoints.openai.api_server", "export", "bash -c 'vllm serve'", "-sc.x", "${a b"),
)


def refusal(read: Callable[[], ServerCommand]) -> str:
    """Why it is refused; empty where it is read. Whatever else is raised fails the test."""
    try:
        read()
    except ConfigError as error:
        return str(error)
    return ""


@given(st.lists(st.sampled_from(PIECES) | st.text(), max_size=12))
@example(["${a b vllm serve}"])
@pytest.mark.fuzz
def test_whatever_is_pasted_is_read_or_refused_in_one_line(words: list[str]) -> None:
    texts = (" ".join(words), shlex.join(words), "\n".join(words))
    images = ("", *words[:1], IMAGE)
    refused = [refusal(partial(read_command, text)) for text in texts]
    refused += [refusal(partial(read_argv, words, image)) for image in images]

    assert "\n" not in "".join(refused)


@given(st.dictionaries(st.text(), st.text() | st.integers(), max_size=3), st.text())
def test_values_of_any_kind_are_read_as_they_were_quoted(data: dict[str, Any], path: str) -> None:
    value = json.dumps(data)
    given_words = ["vllm", "serve", "m", f"--speculative-config={value}", f"--chat-template={path}"]

    command = read_command(shlex.join(given_words))

    assert command.flags == (("--speculative-config", value), ("--chat-template", path))
