"""Reports for people: plain text, one line an account or posting."""

from __future__ import annotations

from .journal import Journal
from .money import Money


def balance_report(journal: Journal) -> str:
    lines = []
    for account in journal.accounts():
        for currency, amount in sorted(journal.balance(account).items()):
            lines.append(f"{str(amount):>16}  {account}")
    return "\n".join(lines)


def register_report(journal: Journal, account: str) -> str:
    running: dict[str, Money] = {}
    lines = []
    for transaction, posting in journal.register(account):
        currency = posting.amount.currency
        running[currency] = running.get(currency, Money(0, currency)) + posting.amount
        lines.append(
            f"{transaction.day}  {transaction.payee:<20}"
            f"{str(posting.amount):>16}{str(running[currency]):>16}"
        )
    return "\n".join(lines)
