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
git -c core.fileMode=false diff 542da1c150f2bdf78348276ddcbc19d6022a62bb
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout 542da1c150f2bdf78348276ddcbc19d6022a62bb tests/test_rates.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_rates.py b/tests/test_rates.py
index 3eba296..867c148 100644
--- a/tests/test_rates.py
+++ b/tests/test_rates.py
@@ -22,5 +22,14 @@ class TestRates(unittest.TestCase):
         self.assertEqual(total_cents([Parcel("a", 100), Parcel("b", 4000)]), 980)
 
 
+    def test_limit_belongs_to_the_tier(self):
+        self.assertEqual(price_cents(Parcel("a", 500)), 290)
+        self.assertEqual(price_cents(Parcel("a", 2000)), 450)
+        self.assertEqual(price_cents(Parcel("a", 2001)), 690)
+
+    def test_heaviest_parcel(self):
+        self.assertEqual(price_cents(Parcel("a", 31500)), 1890)
+
+
 if __name__ == "__main__":
     unittest.main()
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_rates
: '>>>>> End Test Output'
git checkout 542da1c150f2bdf78348276ddcbc19d6022a62bb tests/test_rates.py
