"""What official SWE-bench images weigh, for where no registry tells: an estimate, by repository.

An official image has three parts: a base (Ubuntu 22.04, build tools, Miniconda), which all images
share; an environment, which the images of one version of a repository share (its Python and
packages); and a part of its own (a clone of the repository with its whole history, and a build).
The harness builds them so (swebench, docs/20240627_docker), and so they are modelled: a layer each.

Measured by others:

- Epoch AI, "How to run SWE-bench Verified in one hour on one machine" (epoch.ai/blog/
  swebench-docker, 2025): unique layers are 189 GiB for Verified's 500 images and 684 GiB for 2,290
  of the full set; each image taken alone, 3,129 GiB. The own layer of django-13371 is 330 MB on
  disk, 291 of them history, which compresses no further; one of matplotlib's is 1.9 GB on disk.
- LogicStar, "How we made SWE-bench 50x smaller" (logicstar.ai/blog, and its repository
  swe-bench-compressed, 2025): Verified takes more than 100 GiB to transfer, 206 to 240 GiB on disk.
- SWE-bench, docs/20240627_docker: base and all (about 60) environments take 100 GB on disk.

Modelled by us: every figure below, from those and from what the histories and packages of these
repositories weigh; all are compressed bytes. They sum up to 157 GiB for Verified, which is 17 %
under Epoch's figure and above LogicStar's, and to 98 GiB for Lite, of which nobody has published
one. A single image may well be off by half.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.images.layers import ImageSize, Layer
from orchestrator.types import Instance

MB = 10**6
BASE = 550 * MB


@dataclass(frozen=True)
class Parts:
    """Compressed bytes of an image, without its base."""

    environment: int
    own: int


TABLE = {
    "astropy/astropy": Parts(500 * MB, 190 * MB),
    "django/django": Parts(350 * MB, 300 * MB),
    "matplotlib/matplotlib": Parts(1100 * MB, 1000 * MB),
    "mwaskom/seaborn": Parts(500 * MB, 120 * MB),
    "pallets/flask": Parts(280 * MB, 20 * MB),
    "psf/requests": Parts(270 * MB, 20 * MB),
    "pydata/xarray": Parts(1100 * MB, 80 * MB),
    "pylint-dev/pylint": Parts(300 * MB, 70 * MB),
    "pytest-dev/pytest": Parts(280 * MB, 50 * MB),
    "scikit-learn/scikit-learn": Parts(550 * MB, 220 * MB),
    "sphinx-doc/sphinx": Parts(330 * MB, 90 * MB),
    "sympy/sympy": Parts(300 * MB, 150 * MB),
}
"""By repository, as rows name it."""
UNKNOWN = Parts(450 * MB, 250 * MB)
"""Of any other repository."""


def estimate(instance: Instance) -> ImageSize:
    """An instance's image by the table. Its layers have digests of our own, which say what is
    shared: `estimated:base`, `estimated:env:django/django:3.0`, `estimated:own:IMAGE`.
    """
    parts = TABLE.get(instance.repo, UNKNOWN)
    version = instance.version or "any"
    return ImageSize(
        layers=(
            Layer("estimated:base", BASE),
            Layer(f"estimated:env:{instance.repo}:{version}", parts.environment),
            Layer(f"estimated:own:{instance.image}", parts.own),
        ),
        estimated=True,
    )
