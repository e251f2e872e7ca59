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
git -c core.fileMode=false diff caacb4ce0a899840ceb8cbf233b5864a7e5178ab
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout caacb4ce0a899840ceb8cbf233b5864a7e5178ab tests/test_journal.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_journal.py b/tests/test_journal.py
index c13c655..8849d09 100644
--- a/tests/test_journal.py
+++ b/tests/test_journal.py
@@ -33,7 +33,7 @@ class TestJournal(unittest.TestCase):
 
     def test_balance_includes_children(self):
         self.assertEqual(
-            self.journal.balance("assets:bank"), {"EUR": Money(48000, "EUR")}
+            self.journal.balance("assets:bank"), {"EUR": Money(46000, "EUR")}
         )
 
     def test_balance_on_a_day(self):
@@ -47,5 +47,13 @@ class TestJournal(unittest.TestCase):
         self.assertEqual(days, sorted(days))
 
 
+    def test_register_leaves_out_namesakes(self):
+        accounts = {p.account for _, p in self.journal.register("assets:bank")}
+        self.assertEqual(accounts, {"assets:bank", "assets:bank:savings"})
+
+    def test_part_of_a_name_is_no_account(self):
+        self.assertEqual(self.journal.balance("assets:ban"), {})
+
+
 if __name__ == "__main__":
     unittest.main()
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_journal tests.test_report
: '>>>>> End Test Output'
git checkout caacb4ce0a899840ceb8cbf233b5864a7e5178ab tests/test_journal.py
