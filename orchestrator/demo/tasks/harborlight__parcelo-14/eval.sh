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
git -c core.fileMode=false diff b64c9df108367da0ea15ae1bc44e9023f2297b4d
source /opt/miniconda3/bin/activate
conda activate testbed
git checkout b64c9df108367da0ea15ae1bc44e9023f2297b4d tests/test_conveyor.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_conveyor.py b/tests/test_conveyor.py
index 48cfd6e..4a71bfc 100644
--- a/tests/test_conveyor.py
+++ b/tests/test_conveyor.py
@@ -21,6 +21,19 @@ class TestConveyor(unittest.TestCase):
         belt.arrive(Parcel("a", 100))
         self.assertEqual(len(belt), 1)
 
+    def test_equal_priority_leaves_in_order_of_arrival(self):
+        parcels = [Parcel("z9", 100), Parcel("a1", 100), Parcel("m5", 100)]
+        self.assertEqual(ids(Conveyor(quiet=True).run(parcels)), ["z9", "a1", "m5"])
+
+    def test_same_id_twice(self):
+        parcels = [Parcel("a1", 200), Parcel("a1", 100)]
+        self.assertEqual(Conveyor(quiet=True).run(parcels), parcels)
+
+    def test_order_of_arrival_over_several_runs(self):
+        belt = Conveyor(quiet=True)
+        belt.run([Parcel("b", 100)])
+        self.assertEqual(ids(belt.run([Parcel("z", 100), Parcel("a", 100)])), ["z", "a"])
+
     def test_morning_shift(self):
         parcels = [Parcel(f"M{n:05}", 100 + n % 400, priority=n % 3) for n in range(1998)]
         left = Conveyor().run(parcels)
EOF_114329324912
: '>>>>> Start Test Output'
python -u -m unittest -v tests.test_conveyor
: '>>>>> End Test Output'
git checkout b64c9df108367da0ea15ae1bc44e9023f2297b4d tests/test_conveyor.py
