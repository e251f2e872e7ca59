"""Platforms are told apart by system and architecture."""

from __future__ import annotations

import pytest

from orchestrator.images.platforms import choose_platform, same_platform


def test_variants_of_an_architecture_are_one_platform() -> None:
    assert same_platform("linux/arm64", "linux/arm64/v8")
    assert not same_platform("linux/arm64", "linux/arm/v7")
    assert not same_platform("linux/amd64", "windows/amd64")


@pytest.mark.parametrize(
    ("choices", "wanted", "chosen"),
    [
        (["linux/arm64", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/arm64/v8"], "linux/arm64", "linux/arm64/v8"),
        (["linux/amd64/v3", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/amd64", "linux/amd64/v3"], "linux/amd64/v3", "linux/amd64/v3"),
        (["unknown/unknown", "windows/amd64"], "linux/amd64", None),
        ([], "linux/amd64", None),
        (["", "linux"], "linux/amd64", None),
    ],
)
def test_the_image_of_the_wanted_platform_is_chosen(
    choices: list[str], wanted: str, chosen: str | None
) -> None:
    assert choose_platform(choices, wanted, str) == chosen
