"""Platforms of images, such as linux/amd64 or linux/arm64/v8. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def same_platform(one: str, other: str) -> bool:
    """Whether system and architecture are the same; a variant, as in linux/arm64/v8, may differ."""
    return one.split("/")[:2] == other.split("/")[:2]


def choose_platform(choices: Iterable[T], wanted: str, platform_of: Callable[[T], str]) -> T | None:
    """The one of a platform, of its variant if there are several; None where there is none."""
    fit = [choice for choice in choices if same_platform(platform_of(choice), wanted)]
    exact = [choice for choice in fit if platform_of(choice) == wanted]
    return next(iter(exact or fit), None)
