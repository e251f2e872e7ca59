"""`calibrate BENCHMARK`: which instances this host can grade, found with gold patches."""
