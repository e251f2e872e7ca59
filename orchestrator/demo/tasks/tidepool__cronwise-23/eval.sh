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
git -c core.fileMode=false diff 8fa607123cac595e4b7947a8d94fff8605d2b4c7
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout 8fa607123cac595e4b7947a8d94fff8605d2b4c7 tests/test_fields.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_fields.py b/tests/test_fields.py
index 465d038..98696bc 100644
--- a/tests/test_fields.py
+++ b/tests/test_fields.py
@@ -1,6 +1,6 @@
 import unittest
 
-from cronwise import CronError
+from cronwise import CronError, CronExpression
 from cronwise.fields import DAY_OF_WEEK, HOUR, MINUTE, MONTH, parse_field
 
 
@@ -30,5 +30,13 @@ class TestFields(unittest.TestCase):
             parse_field("9-5", HOUR)
 
 
+    def test_zero_step(self):
+        for text in ("*/0", "5/0", "10-20/00", "1,*/0"):
+            with self.assertRaises(CronError):
+                parse_field(text, MINUTE)
+            with self.assertRaises(CronError):
+                CronExpression.parse(f"0 {text} * * *")
+
+
 if __name__ == "__main__":
     unittest.main()
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_schedule tests.test_fields
: '>>>>> End Test Output'
git checkout 8fa607123cac595e4b7947a8d94fff8605d2b4c7 tests/test_fields.py
