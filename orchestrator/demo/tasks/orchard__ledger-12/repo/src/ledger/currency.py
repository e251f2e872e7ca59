"""What we know about currencies: how many decimal digits each one has (ISO 4217)."""

DEFAULT_EXPONENT = 2

_EXPONENTS = {
    "BHD": 3,
    "CHF": 2,
    "EUR": 2,
    "GBP": 2,
    "JPY": 0,
    "KRW": 0,
    "KWD": 3,
    "SEK": 2,
    "TND": 3,
    "USD": 2,
}


def exponent(code: str) -> int:
    """Number of decimal digits of a currency; unknown ones get two."""
    return _EXPONENTS.get(code, DEFAULT_EXPONENT)


def is_known(code: str) -> bool:
    return code in _EXPONENTS
