"""How often each instance's gold patch is to be graded. Pure.

The aim is a number of trials, and not of further ones: whoever was killed asks for the same again,
and only what is missing is done.
"""

from __future__ import annotations

from collections.abc import Mapping


def trials_wanted(had: Mapping[str, int], grades: int, again: bool) -> int:
    """How many trials every instance is to have.

    `had` is how many each has already. `again` asks for `grades` more than that instance has which
    has the fewest of those that were tried at all.
    """
    tried = [count for count in had.values() if count]
    return grades + (min(tried) if again and tried else 0)


def left_to_try(had: Mapping[str, int], wanted: int) -> tuple[str, ...]:
    """The instances that have fewer trials, in their order."""
    return tuple(instance_id for instance_id, count in had.items() if count < wanted)
