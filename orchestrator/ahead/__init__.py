"""`images`: a benchmark's images, brought, looked at and removed by a person, days ahead of a run.

Here one engine is meant, the one that `docker` speaks to, and no run is started.
"""
