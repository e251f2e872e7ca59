"""The journal's tables, all of them here.

A row means done: files are in place before it is written. The constraints say what must never be:
an outcome and a failure at once, two outcomes of one instance, two verdicts on one patch.
"""

from orchestrator.journal import model_requests

VERSION = 6
"""1 had no tables of requests and samples, 2 none of decisions, 3 none of pulled images, 4 no
images in rollouts and grades, 5 no calls of functions; an older journal gets them when it is
written to."""
READABLE = ("1", "2", "3", "4", "5", str(VERSION))

_DDL_1 = """
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,       -- seconds since the epoch, here and below
    ended_at REAL,                  -- NULL: live, or killed
    last_seen_at REAL NOT NULL
) STRICT;

CREATE TABLE instance (
    instance_id TEXT PRIMARY KEY,
    repo TEXT NOT NULL,
    position INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TABLE rollout (
    instance_id TEXT NOT NULL REFERENCES instance,
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    outcome TEXT,
    failure TEXT,
    detail TEXT NOT NULL,
    salvaged INTEGER NOT NULL,
    patch_sha256 TEXT NOT NULL,
    patch_bytes INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    model_s REAL NOT NULL,
    held_s REAL NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL NOT NULL,
    phases_s TEXT NOT NULL,         -- JSON: seconds by phase
    notes TEXT NOT NULL,            -- JSON: a list of remarks
    PRIMARY KEY (instance_id, attempt),
    CHECK ((outcome IS NULL) <> (failure IS NULL))
) STRICT;
CREATE UNIQUE INDEX one_outcome ON rollout (instance_id) WHERE outcome IS NOT NULL;

CREATE TABLE grade (
    id INTEGER PRIMARY KEY,
    instance_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    patch_sha256 TEXT NOT NULL,
    resolved INTEGER,
    reason TEXT,
    failure TEXT,
    detail TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL NOT NULL,
    phases_s TEXT NOT NULL,
    FOREIGN KEY (instance_id, attempt) REFERENCES rollout,
    CHECK ((resolved IS NULL) <> (failure IS NULL))
) STRICT;
CREATE UNIQUE INDEX one_verdict ON grade (instance_id, attempt, patch_sha256)
    WHERE resolved IS NOT NULL;
"""
_DDL_3 = """
CREATE TABLE decision (
    id INTEGER PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instance,
    choice TEXT NOT NULL,
    because TEXT NOT NULL,
    by TEXT NOT NULL,
    at REAL NOT NULL,
    patch_sha256 TEXT NOT NULL,     -- empty: there was no outcome
    failures INTEGER NOT NULL
) STRICT;
"""
_DDL_4 = """
CREATE TABLE pulled_image (         -- written before the pull begins, taken out when it is evicted
    name TEXT NOT NULL,
    node TEXT NOT NULL,             -- empty: the run's only host
    at REAL NOT NULL,
    PRIMARY KEY (name, node)
) STRICT;
"""
_DDL_5 = """
-- repository and digest, or id, of what the sandbox was started from; empty: nobody knows
ALTER TABLE rollout ADD COLUMN image TEXT NOT NULL DEFAULT '';
ALTER TABLE grade ADD COLUMN image TEXT NOT NULL DEFAULT '';
-- JSON: what the sandbox held of its repository's future; empty: nothing, or nobody looked
ALTER TABLE rollout ADD COLUMN future TEXT NOT NULL DEFAULT '';
"""
_DDL_6 = """
-- JSON: calls of functions, and what was wrong with them; empty: none were asked for
ALTER TABLE rollout ADD COLUMN calls TEXT NOT NULL DEFAULT '';
ALTER TABLE rollout ADD COLUMN unusable_answers INTEGER NOT NULL DEFAULT 0;
"""
_ADDED = {2: model_requests.DDL, 3: _DDL_3, 4: _DDL_4, 5: _DDL_5, 6: _DDL_6}
"""What each version added."""
DDL = "".join((_DDL_1, *_ADDED.values()))


def migration(version: int) -> str:
    """The statements that bring a journal of this version to today's."""
    added = "".join(ddl for number, ddl in _ADDED.items() if number > version)
    return f"{added} UPDATE run SET value = '{VERSION}' WHERE key = 'version';"
