"""Tool bundles by name: folders of ours, and of SWE-agent's own."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import ConfigError

OUR_BUNDLES = Path(__file__).with_name("bundles")


def find_bundle(name: str, tools: Path) -> Path:
    """The folder of a tool bundle: one of ours, or of SWE-agent's own in `tools`.

    Raises:
        ConfigError: there is none, or it would install packages in the sandbox.
    """
    for folder in (OUR_BUNDLES / name, tools / name):
        if not (folder / "config.yaml").is_file():
            continue
        script = folder / "install.sh"
        if script.is_file() and "pip install" in script.read_text(encoding="utf-8"):
            raise ConfigError(
                f"agent.bundles: {name} installs packages in the sandbox, which has no network; "
                "leave it out"
            )
        return folder
    known = sorted(path.name for path in OUR_BUNDLES.iterdir())
    raise ConfigError(
        f"agent.bundles: no bundle {name!r}; ours are {', '.join(known)}, SWE-agent's in {tools}"
    )
