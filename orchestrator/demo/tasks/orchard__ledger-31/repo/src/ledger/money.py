"""Amounts of money, kept as whole minor units so that nothing is rounded by accident."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from .currency import exponent


class CurrencyMismatch(ValueError):
    """Two amounts in different currencies were combined."""


@dataclass(frozen=True)
class Money:
    minor: int
    currency: str

    @classmethod
    def of(cls, amount: Decimal | int | str, currency: str) -> Money:
        """An amount in major units: ``Money.of("12.50", "EUR")``.

        Raises ValueError when the amount has more digits than the currency.
        """
        scaled = Decimal(amount).scaleb(2)
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{amount} has too many decimals for {currency}")
        return cls(int(scaled), currency)

    def __add__(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency}")
        return Money(self.minor + other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        return self + -other

    def __bool__(self) -> bool:
        return self.minor != 0

    def __str__(self) -> str:
        digits = exponent(self.currency)
        value = Decimal(self.minor).scaleb(-digits)
        return f"{value:.{digits}f} {self.currency}"

    def allocate(self, weights: list[int]) -> list[Money]:
        """Split by weights; the shares always add up to the whole.

        What can't be divided goes, one minor unit each, to the first shares.
        """
        total = sum(weights)
        if total <= 0:
            raise ValueError("weights must add up to more than zero")
        if self.minor < 0:
            return [-share for share in (-self).allocate(weights)]
        shares = [self.minor * weight // total for weight in weights]
        for index in range(self.minor - sum(shares)):
            shares[index] += 1
        return [Money(share, self.currency) for share in shares]
