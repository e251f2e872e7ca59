"""What images weigh where no registry tells: shared by version, and estimated for every row."""

from __future__ import annotations

import pytest

from orchestrator.images.layers import unique_bytes
from orchestrator.images.table import BASE, TABLE, estimate
from orchestrator.types import Instance

GIB = 2**30
VERIFIED = {
    "astropy/astropy": (22, 6),
    "django/django": (231, 9),
    "matplotlib/matplotlib": (34, 6),
    "mwaskom/seaborn": (2, 1),
    "pallets/flask": (1, 1),
    "psf/requests": (8, 7),
    "pydata/xarray": (22, 4),
    "pylint-dev/pylint": (10, 5),
    "pytest-dev/pytest": (19, 10),
    "scikit-learn/scikit-learn": (32, 4),
    "sphinx-doc/sphinx": (44, 15),
    "sympy/sympy": (75, 12),
}
"""Rows and versions of SWE-bench Verified, by repository."""


def row(repo: str, version: str, number: int) -> Instance:
    instance_id = f"{repo.replace('/', '__')}-{number}"
    return Instance(instance_id, repo, "c" * 40, "", f"swebench/{instance_id}:latest", version)


def test_verified_weighs_what_others_have_measured() -> None:
    """Epoch AI: 189 GiB of unique layers; LogicStar: more than 100 GiB."""
    rows = [
        row(repo, f"v{number % versions}", number)
        for repo, (count, versions) in VERIFIED.items()
        for number in range(count)
    ]

    total = unique_bytes(map(estimate, rows)) / GIB

    assert len(rows) == 500
    assert 0.8 * 189 < total < 1.0 * 189


def test_images_of_one_version_share_all_but_their_own_part() -> None:
    one, two = (estimate(row("django/django", "3.0", n)) for n in (1, 2))
    other = estimate(row("django/django", "4.0", 3))

    assert unique_bytes([one, two]) == one.bytes + TABLE["django/django"].own
    assert unique_bytes([one, other]) == one.bytes + other.bytes - BASE


@pytest.mark.parametrize(
    ("repo", "version"),
    [("someone/else", "1.0"), ("someone/else", ""), ("", ""), ("a/b", "x" * 99)],
)
def test_a_repository_that_nobody_has_measured_is_estimated_too(repo: str, version: str) -> None:
    size = estimate(row(repo, version, 1))

    assert size.estimated
    assert size.bytes > BASE
    assert size.digest == ""
