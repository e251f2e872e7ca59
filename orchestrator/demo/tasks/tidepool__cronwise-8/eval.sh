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
git -c core.fileMode=false diff 0a9d06223411d054cb65a747cfbac4965062ec5e
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout 0a9d06223411d054cb65a747cfbac4965062ec5e tests/test_describe.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_describe.py b/tests/test_describe.py
index 3b012d7..7998c41 100644
--- a/tests/test_describe.py
+++ b/tests/test_describe.py
@@ -10,6 +10,9 @@ class TestDescribe(unittest.TestCase):
     def test_step(self):
         self.assertEqual(describe("*/15 * * * *"), "every 15 minutes")
 
+    def test_hourly(self):
+        self.assertEqual(describe("@hourly"), "every hour at :00")
+
     def test_daily(self):
         self.assertEqual(describe("5 4 * * *"), "every day at 04:05")
 
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_describe
: '>>>>> End Test Output'
git checkout 0a9d06223411d054cb65a747cfbac4965062ec5e tests/test_describe.py
