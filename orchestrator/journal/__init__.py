"""The record of a run: SQLite, one writer (the driver), readers that open it read-only."""

from orchestrator.journal.store import Journal, read_journal
from orchestrator.journal.views import GradeRow, RolloutRow, RunState, SessionRow

__all__ = ["GradeRow", "Journal", "RolloutRow", "RunState", "SessionRow", "read_journal"]
