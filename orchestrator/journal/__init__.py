"""The record of a run: SQLite, one writer (the driver), readers that open it read-only."""

from orchestrator.journal.store import Journal, read_journal
from orchestrator.journal.views import RunState, SessionRow

__all__ = ["Journal", "RunState", "SessionRow", "read_journal"]
