"""Several attempts of one model and agent: a matrix of a single cell, without a file."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from orchestrator.config import RunRequest, load_config
from orchestrator.config.matrix import Matrix, MatrixFile
from orchestrator.config.problems import problem_words
from orchestrator.errors import ConfigError

COMMAND_LINE = Path("the command line")


def as_matrix(request: RunRequest, attempts: int) -> MatrixFile:
    """What `launch --attempts` asks for.

    Raises:
        ConfigError: as `load_config`; the agent asks no model, or these are too many runs.
    """
    config = load_config(request)
    model = request.model or config.benchmark.default_model
    agent = request.agent or config.benchmark.default_agent
    if config.model is None or model is None:
        raise ConfigError(
            f"--attempts: the agent {agent!r} asks no model, so that its attempts are alike; "
            "`calibrate BENCHMARK --again` finds out which gold patches flicker"
        )
    try:
        matrix = Matrix(
            name=f"{Path(request.benchmark).name}-{Path(model).stem}-{Path(agent).stem}",
            benchmarks=(request.benchmark,),
            models=(model,),
            agents=(agent,),
            attempts=attempts,
        )
    except ValidationError as error:
        raise ConfigError(f"--attempts {attempts}: {problem_words(error.errors()[0])}") from None
    return MatrixFile(COMMAND_LINE, "", matrix)
