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
git -c core.fileMode=false diff fc38bf04e33e4daa48ba7d4dc3714622e5ea5cbb
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout fc38bf04e33e4daa48ba7d4dc3714622e5ea5cbb tests/test_schedule.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_schedule.py b/tests/test_schedule.py
index 3e7753c..81cef94 100644
--- a/tests/test_schedule.py
+++ b/tests/test_schedule.py
@@ -37,5 +37,22 @@ class TestNextAfter(unittest.TestCase):
             CronExpression.parse("* * * *")
 
 
+    def test_day_or_weekday(self):
+        times = upcoming(CronExpression.parse("0 4 13 * fri"), datetime(2024, 6, 10), 4)
+        self.assertEqual([t.day for t in times], [13, 14, 21, 28])
+
+    def test_weekday_alone(self):
+        times = upcoming(CronExpression.parse("0 4 * * fri"), datetime(2024, 6, 10), 2)
+        self.assertEqual([t.day for t in times], [14, 21])
+
+    def test_stepped_star_still_counts_as_star(self):
+        times = upcoming(CronExpression.parse("0 4 */10 * fri"), datetime(2024, 6, 1), 2)
+        self.assertEqual(times, [datetime(2024, 6, 21, 4), datetime(2024, 10, 11, 4)])
+
+    def test_month_is_always_required(self):
+        expression = CronExpression.parse("0 4 13 sep fri")
+        self.assertEqual(next_after(expression, datetime(2024, 6, 1)), datetime(2024, 9, 6, 4))
+
+
 if __name__ == "__main__":
     unittest.main()
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_schedule
: '>>>>> End Test Output'
git checkout fc38bf04e33e4daa48ba7d4dc3714622e5ea5cbb tests/test_schedule.py
