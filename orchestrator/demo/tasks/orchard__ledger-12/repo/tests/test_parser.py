import unittest

from ledger import JournalSyntaxError, Money, parse_journal

SHOPPING = """\
2024-03-01 Greengrocer
    expenses:food      12.50 EUR
    assets:cash

; the club pays half of this
2024-03-02 Stationer  ; paper
    expenses:office     8.00 EUR
    assets:cash        -8.00 EUR
"""


class TestParser(unittest.TestCase):
    def test_transactions(self):
        journal = parse_journal(SHOPPING)
        self.assertEqual([t.payee for t in journal.transactions], ["Greengrocer", "Stationer"])

    def test_missing_amount_is_filled_in(self):
        first = parse_journal(SHOPPING).transactions[0]
        self.assertEqual(first.postings[1].amount, Money(-1250, "EUR"))

    def test_error_names_the_line(self):
        with self.assertRaises(JournalSyntaxError) as caught:
            parse_journal("2024-03-01 Shop\n    expenses:food  twelve\n    assets:cash\n")
        self.assertEqual(caught.exception.line_number, 2)

    def test_unbalanced(self):
        with self.assertRaises(JournalSyntaxError):
            parse_journal("2024-03-01 Shop\n    a  1.00 EUR\n    b  2.00 EUR\n")


if __name__ == "__main__":
    unittest.main()
