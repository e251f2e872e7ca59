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
git -c core.fileMode=false diff 580fd62070140712de79a395b17183d6bf03665c
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout 580fd62070140712de79a395b17183d6bf03665c tests/test_money.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_money.py b/tests/test_money.py
index 36f2988..355617b 100644
--- a/tests/test_money.py
+++ b/tests/test_money.py
@@ -36,5 +36,15 @@ class TestAllocate(unittest.TestCase):
             Money(100, "EUR").allocate([0, 0])
 
 
+    def test_refund_loses_nothing(self):
+        shares = Money(-100, "EUR").allocate([1, 1, 1])
+        self.assertEqual(sum(share.minor for share in shares), -100)
+
+    def test_refund_mirrors_the_bill(self):
+        bill = Money(1000, "EUR").allocate([2, 1, 4])
+        refund = Money(-1000, "EUR").allocate([2, 1, 4])
+        self.assertEqual(refund, [-share for share in bill])
+
+
 if __name__ == "__main__":
     unittest.main()
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_money
: '>>>>> End Test Output'
git checkout 580fd62070140712de79a395b17183d6bf03665c tests/test_money.py
