"""What decides an instance, opened for the report alone: agents are long gone by then."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.dataset.load import Dataset
from orchestrator.gold_answers import unseal


@dataclass(frozen=True)
class Gold:
    """The two patches of a benchmark's row; empty where it has none."""

    patch: str = ""
    test_patch: str = ""


def gold_of(dataset: Dataset, instance_id: str) -> Gold:
    """The patches of one instance; empty ones where the dataset does not hold it."""
    sealed = dataset.answers.get(instance_id)
    if sealed is None:
        return Gold()
    answer = unseal(sealed)
    test_patch = answer.row.get("test_patch")
    return Gold(answer.gold_patch, test_patch if isinstance(test_patch, str) else "")
