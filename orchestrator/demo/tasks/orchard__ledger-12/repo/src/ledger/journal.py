"""Transactions, and the questions one asks of many of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from .money import Money


class UnbalancedError(ValueError):
    """The postings of a transaction don't add up to zero."""


@dataclass(frozen=True)
class Posting:
    account: str
    amount: Money


@dataclass(frozen=True)
class Transaction:
    day: date
    payee: str
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        for currency, left in _totals(self.postings).items():
            if left:
                raise UnbalancedError(f"{self.day} {self.payee}: {left} left over")


def _totals(postings) -> dict[str, Money]:
    totals: dict[str, Money] = {}
    for posting in postings:
        currency = posting.amount.currency
        totals[currency] = totals.get(currency, Money(0, currency)) + posting.amount
    return totals


def _is_within(name: str, account: str) -> bool:
    """Is the account `name` the account asked for, or below it in the tree?"""
    return name == account or name.startswith(account + ":")


@dataclass
class Journal:
    transactions: list[Transaction] = field(default_factory=list)

    def add(self, transaction: Transaction) -> None:
        self.transactions.append(transaction)

    def accounts(self) -> list[str]:
        return sorted({p.account for t in self.transactions for p in t.postings})

    def register(self, account: str) -> list[tuple[Transaction, Posting]]:
        """Every posting to an account or below it, oldest first."""
        found = [
            (transaction, posting)
            for transaction in self.transactions
            for posting in transaction.postings
            if _is_within(posting.account, account)
        ]
        return sorted(found, key=lambda pair: pair[0].day)

    def balance(self, account: str, on: date | None = None) -> dict[str, Money]:
        """Balance by currency, at the end of the day `on` (default: of everything)."""
        return _totals(
            posting
            for transaction, posting in self.register(account)
            if on is None or transaction.day <= on
        )
