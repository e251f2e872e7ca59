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
git -c core.fileMode=false diff 23d46eb1b55259da10bd581f1d3a1bcf211cdf33
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout 23d46eb1b55259da10bd581f1d3a1bcf211cdf33 tests/test_tally.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_tally.py b/tests/test_tally.py
index 4f91798..a63f5f3 100644
--- a/tests/test_tally.py
+++ b/tests/test_tally.py
@@ -13,6 +13,9 @@ class TestTally(unittest.TestCase):
     def test_most_common(self):
         self.assertEqual(most_common("c b a b", limit=2), [("b", 2), ("a", 1)])
 
+    def test_most_common_of_nothing(self):
+        self.assertEqual(most_common(""), [])
+
 
 if __name__ == "__main__":
     unittest.main()
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_tally
: '>>>>> End Test Output'
git checkout 23d46eb1b55259da10bd581f1d3a1bcf211cdf33 tests/test_tally.py
