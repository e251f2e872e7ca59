"""`init`: five questions, then profiles of one's own, a doctor, and the first commands.

Nothing is written before the last question is answered and the profiles are checked.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.config import RunConfig, RunRequest, load_config
from orchestrator.config.cluster_choice import OWN
from orchestrator.display.terminal import print_line
from orchestrator.doctor.run import examine_request, exit_code
from orchestrator.errors import EXIT_DONE
from orchestrator.setup.ask_cluster import BARE, ask_cluster
from orchestrator.setup.ask_model import ask_model
from orchestrator.setup.given import Given
from orchestrator.setup.night import night_lines
from orchestrator.setup.profiles import cluster_text, model_text
from orchestrator.setup.questions import Asker
from orchestrator.setup.view import model_words, next_lines
from orchestrator.setup.write import Profile, checked_config, write_profile


def init(
    given: Given, asker: Asker, config_dirs: tuple[Path, ...] = (), *, with_doctor: bool = True
) -> int:
    """Ask what flags do not say, write the profiles, and examine what comes of them.

    Returns the doctor's exit code.

    Raises:
        ConfigError: a flag is wrong, or missing where nobody can be asked.
        PrerequisiteError: a server, an engine or a folder that a flag names is not there.
        KeyboardInterrupt: the person has had enough, and nothing is written.
    """
    console = asker.console
    try:
        name, answers = ask_model(given, asker, config_dirs)
        cluster = ask_cluster(given, asker, config_dirs)
    except KeyboardInterrupt:
        print_line(console, "\nnothing was written")
        raise
    profiles = [Profile("models", name, model_text(name, answers, "init"))]
    if cluster is not None:
        profiles.append(Profile("clusters", OWN, cluster_text(cluster.answers, "init")))
    config = checked_config(tuple(profiles), config_dirs, "lite")
    is_bare = (config if cluster else _as_it_is(config_dirs)).cluster.sandbox.kind == BARE
    for profile in profiles:
        print_line(console, f"wrote {write_profile(profile, config_dirs)}")
    print_line(console, f"{name}: {model_words(answers)}")
    if cluster is not None and not is_bare:
        for line in night_lines(config, cluster.host, cluster.night_hours):
            print_line(console, line)
    benchmark = "demo" if is_bare else "lite"
    code = EXIT_DONE
    if with_doctor:
        print_line(console, f"\ndoctor {benchmark} --model {name}:")
        request = RunRequest(benchmark, model=name, config_dirs=config_dirs)
        code = exit_code(examine_request(request, console))
    print_line(console, "\nnext:")
    smoke = "launch smoke --agent mini" if is_bare else "launch smoke"  # SWE-agent needs an engine
    commands = (f"doctor {benchmark}", smoke, f"launch {benchmark}")
    for line in next_lines(name, config_dirs, commands):
        print_line(console, line)
    return code


def _as_it_is(config_dirs: tuple[Path, ...]) -> RunConfig:
    """A run on this machine with the profile that stays. Raises ConfigError."""
    return load_config(RunRequest("demo", agent="nop", config_dirs=config_dirs))
