#!/bin/bash
set -uxo pipefail
# one stream, so that test output and results stay in order
exec 2>&1
source /opt/miniconda3/bin/activate
conda activate testbed
cd /testbed
git config --global --add safe.directory /testbed
cd /testbed
git status
git show
git -c core.fileMode=false diff 9a1fdc4e7e2c05c9178e04c4f7db7ffb80bef35c
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout 9a1fdc4e7e2c05c9178e04c4f7db7ffb80bef35c tests/test_money.py tests/test_parser.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_money.py b/tests/test_money.py
index 36f2988..c83ffd1 100644
--- a/tests/test_money.py
+++ b/tests/test_money.py
@@ -11,6 +11,10 @@ class TestMoney(unittest.TestCase):
         with self.assertRaises(ValueError):
             Money.of("0.005", "EUR")
 
+    def test_of_knows_the_currency(self):
+        self.assertEqual(Money.of("1200", "JPY"), Money(1200, "JPY"))
+        self.assertEqual(Money.of("1.250", "KWD"), Money(1250, "KWD"))
+
     def test_str(self):
         self.assertEqual(str(Money(-905, "USD")), "-9.05 USD")
 
diff --git a/tests/test_parser.py b/tests/test_parser.py
index f8d9af7..bec4bcf 100644
--- a/tests/test_parser.py
+++ b/tests/test_parser.py
@@ -33,5 +33,20 @@ class TestParser(unittest.TestCase):
             parse_journal("2024-03-01 Shop\n    a  1.00 EUR\n    b  2.00 EUR\n")
 
 
+    def test_yen_have_no_decimals(self):
+        journal = parse_journal("2024-03-01 Ramen\n    food  1200 JPY\n    cash\n")
+        self.assertEqual(str(journal.balance("food")["JPY"]), "1200 JPY")
+
+    def test_dinars_have_three(self):
+        journal = parse_journal("2024-03-01 Tea\n    food  1.250 KWD\n    cash\n")
+        self.assertEqual(str(journal.balance("cash")["KWD"]), "-1.250 KWD")
+
+    def test_too_many_decimals(self):
+        for amount in ("1.505 EUR", "12.5 JPY", "0.0005 KWD"):
+            with self.assertRaises(JournalSyntaxError) as caught:
+                parse_journal(f"2024-03-01 Shop\n    food  {amount}\n    cash\n")
+            self.assertEqual(caught.exception.line_number, 2)
+
+
 if __name__ == "__main__":
     unittest.main()
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_money tests.test_parser
: '>>>>> End Test Output'
git checkout 9a1fdc4e7e2c05c9178e04c4f7db7ffb80bef35c tests/test_money.py tests/test_parser.py
