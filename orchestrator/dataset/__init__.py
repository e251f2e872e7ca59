"""Benchmark rows to instances, and apart from them sealed gold answers."""

from orchestrator.dataset.load import Dataset, load_dataset
from orchestrator.dataset.sources import BUNDLED, is_local, task_repo_of

__all__ = ["BUNDLED", "Dataset", "is_local", "load_dataset", "task_repo_of"]
