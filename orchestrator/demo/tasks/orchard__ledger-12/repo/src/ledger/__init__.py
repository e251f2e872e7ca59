"""Plain-text double-entry bookkeeping."""

from .journal import Journal, Posting, Transaction, UnbalancedError
from .money import CurrencyMismatch, Money
from .parser import JournalSyntaxError, parse_journal
from .report import balance_report, register_report

__version__ = "0.3.0"

__all__ = [
    "CurrencyMismatch",
    "Journal",
    "JournalSyntaxError",
    "Money",
    "Posting",
    "Transaction",
    "UnbalancedError",
    "balance_report",
    "parse_journal",
    "register_report",
]
