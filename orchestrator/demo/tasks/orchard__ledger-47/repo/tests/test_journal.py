import unittest
from datetime import date

from ledger import Money, parse_journal

CLUB = """\
2024-01-05 Opening
    assets:bank           500.00 EUR
    assets:bankcard        20.00 EUR
    equity:opening

2024-02-01 Rent
    expenses:hall         120.00 EUR
    assets:bank

2024-01-20 Fees
    assets:bank:savings    80.00 EUR
    income:fees
"""


class TestJournal(unittest.TestCase):
    def setUp(self):
        self.journal = parse_journal(CLUB)

    def test_accounts(self):
        self.assertEqual(self.journal.accounts()[:2], ["assets:bank", "assets:bank:savings"])

    def test_balance_of_leaf(self):
        self.assertEqual(
            self.journal.balance("expenses:hall"), {"EUR": Money(12000, "EUR")}
        )

    def test_balance_includes_children(self):
        self.assertEqual(
            self.journal.balance("assets:bank"), {"EUR": Money(48000, "EUR")}
        )

    def test_balance_on_a_day(self):
        self.assertEqual(
            self.journal.balance("assets", on=date(2024, 1, 10)),
            {"EUR": Money(52000, "EUR")},
        )

    def test_register_is_sorted_by_day(self):
        days = [t.day.isoformat() for t, _ in self.journal.register("assets")]
        self.assertEqual(days, sorted(days))


if __name__ == "__main__":
    unittest.main()
