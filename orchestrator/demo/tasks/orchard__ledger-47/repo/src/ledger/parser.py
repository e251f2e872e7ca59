"""Reading the plain-text form."""

from __future__ import annotations

import re
from datetime import date

from .journal import Journal, Posting, Transaction, UnbalancedError
from .money import Money

_HEADER = re.compile(r"(\d{4}-\d{2}-\d{2})\s+(\S.*)")
_POSTING = re.compile(r"\s+(\S+)(?:\s{2,}(\S.*))?")
_AMOUNT = re.compile(r"(-?\d+(?:\.\d+)?)\s*([A-Z]{3})")


class JournalSyntaxError(ValueError):
    """A line that can't be read; the message starts with its number."""

    def __init__(self, line_number: int, message: str):
        super().__init__(f"line {line_number}: {message}")
        self.line_number = line_number


def parse_amount(text: str) -> Money:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an amount: {text.strip()!r}")
    return Money.of(match[1], match[2])


def parse_journal(text: str) -> Journal:
    journal = Journal()
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.split(";", 1)[0].rstrip()
        if line:
            block.append((number, line))
        if block and not line:
            journal.add(_transaction(block))
            block = []
    if block:
        journal.add(_transaction(block))
    return journal


def _transaction(block: list[tuple[int, str]]) -> Transaction:
    first, header = block[0]
    match = _HEADER.fullmatch(header)
    if match is None:
        raise JournalSyntaxError(first, "expected a date and a payee")
    postings: list[Posting] = []
    open_account = None
    for number, line in block[1:]:
        posting = _POSTING.fullmatch(line)
        if posting is None:
            raise JournalSyntaxError(number, "expected a posting")
        account, amount = posting[1], posting[2]
        if amount is None:
            if open_account is not None:
                raise JournalSyntaxError(number, "only one amount may be left out")
            open_account = account
            continue
        try:
            postings.append(Posting(account, parse_amount(amount)))
        except ValueError as error:
            raise JournalSyntaxError(number, str(error)) from None
    if open_account is not None:
        postings.extend(_balancing(open_account, postings))
    try:
        return Transaction(date.fromisoformat(match[1]), match[2], tuple(postings))
    except UnbalancedError as error:
        raise JournalSyntaxError(first, str(error)) from None


def _balancing(account: str, postings: list[Posting]) -> list[Posting]:
    missing: dict[str, Money] = {}
    for posting in postings:
        currency = posting.amount.currency
        missing[currency] = missing.get(currency, Money(0, currency)) - posting.amount
    return [Posting(account, amount) for amount in missing.values()]
