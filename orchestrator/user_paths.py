"""Every path of the user's cache, data and profiles, spelled once.

<cache>/gold-controls/<instance_id>@<platform>@<architecture>.json
                             whether its gold patch is resolved where processors are emulated
<cache>/calibrations/<instance_id>@<row>@<platform>@<architecture>@<kind>.json
                             how its gold patch was graded, each time; <row> is a digest of the
                             benchmark's row, <kind> that of the sandboxes
<cache>/calibrations/rounds/<run_id>/
                             the runs of `calibrate`: folders as those in runs/
<cache>/image-sizes/<image>@<platform>.json
                             layers of an image and their sizes, as its registry told them
<cache>/clean-repositories/<instance_id>
                             fingerprints of sandboxes that hold nothing after its base commit
<cache>/images-seen/<digest>
                             what sandboxes of an image hold as they start
<cache>/activated-environments/<digest>
                             what activation exports in sandboxes of an image
<cache>/bench/<model>@<server>.json
                             what `bench` has measured last
<cache>/chat-templates/<sha256>
                             what a model's server reads conversations with, brought by `serve`
<cache>/diagnoses/<model>/   an example of each failure that the last diagnosis of it met
<cache>/agents/<kind>/       an agent with an installation of its own; its module draws it
                             (<cache>: $SWE_ORCHESTRATOR_CACHE, or the user's cache folder)

<data>/host-id               what tells this host from others, whatever its name is
                             (<data>: $SWE_ORCHESTRATOR_DATA, or the user's data folder)

<image>, <model> and the like become names of files by `folder_name`.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from orchestrator.paths import folder_name


def user_cache() -> Path:
    """Where what is kept between runs lies; each agent that is installed has a folder in it."""
    given = os.environ.get("SWE_ORCHESTRATOR_CACHE")
    cache = Path(given) if given else platformdirs.user_cache_path("swe-orchestrator")
    return cache.resolve()


def user_configs() -> Path:
    """Where the user's own profiles lie: `models/`, `clusters/` and so on. It need not exist."""
    given = os.environ.get("SWE_ORCHESTRATOR_CONFIG")
    configs = Path(given) if given else platformdirs.user_config_path("swe-orchestrator")
    return configs.resolve()


def gold_control_file(instance_id: str, platform: str, architecture: str) -> Path:
    """Of an instance whose images are of `platform`, on processors of `architecture`."""
    name = folder_name(f"{instance_id}@{platform}@{architecture}".replace("/", "-"))
    return user_cache() / "gold-controls" / f"{name}.json"


def calibration_file(
    instance_id: str, row_sha256: str, platform: str, architecture: str, kind: str
) -> Path:
    """Of an instance's row, on processors of `architecture` in sandboxes of this kind."""
    parts = (instance_id, row_sha256[:12], platform, architecture or "any", kind)
    return calibrations() / f"{folder_name('@'.join(parts).replace('/', '-'))}.json"


def calibration_rounds() -> Path:
    """Where the runs of `calibrate` lie."""
    return calibrations() / "rounds"


def calibrations() -> Path:
    return user_cache() / "calibrations"


def image_size_file(image: str, platform: str) -> Path:
    """Of an image, by its whole name, for a platform."""
    name = folder_name(f"{image}@{platform}".replace("/", "-"))
    return user_cache() / "image-sizes" / f"{name}.json"


def clean_repository_file(instance_id: str) -> Path:
    """Of an instance whose sandboxes were found to hold nothing of their repository's future."""
    return user_cache() / "clean-repositories" / folder_name(instance_id)


def image_seen_file(key: str) -> Path:
    """Of an image whose sandboxes were looked at: what all of them hold as they start."""
    return user_cache() / "images-seen" / key


def activated_environment_file(key: str) -> Path:
    """What activating an image's environment exports."""
    return user_cache() / "activated-environments" / key


def chat_template_file(sha256: str) -> Path:
    """A file of this content."""
    return user_cache() / "chat-templates" / sha256


def bench_file(base_url: str, served_name: str) -> Path:
    """Of a model at a server's address."""
    name = folder_name(f"{served_name}@{base_url}".replace("/", "-"))
    return user_cache() / "bench" / f"{name}.json"


def diagnosis_folder(model: str) -> Path:
    """Of a model, by its profile's name."""
    return user_cache() / "diagnoses" / folder_name(model)


def host_id_file() -> Path:
    given = os.environ.get("SWE_ORCHESTRATOR_DATA")
    data = Path(given) if given else platformdirs.user_data_path("swe-orchestrator")
    return data.resolve() / "host-id"
