CREATE TABLE runs (
    id            TEXT    NOT NULL PRIMARY KEY,
    root          TEXT    NOT NULL,
    workflow      TEXT    NOT NULL,
    file          TEXT    NOT NULL,
    event         TEXT    NOT NULL,
    ref           TEXT    NOT NULL,
    sha           TEXT    NOT NULL,
    owner         TEXT    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('queued', 'running', 'completed')),
    conclusion    TEXT,
    reason        TEXT,
    created_at    BIGINT  NOT NULL,
    started_at    BIGINT,
    finished_at   BIGINT,
    event_version BIGINT  NOT NULL,
    sequence      BIGINT  NOT NULL
);
CREATE INDEX runs_unfinished ON runs (owner) WHERE status <> 'completed';

CREATE TABLE plans (
    run  TEXT NOT NULL PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    body BLOB NOT NULL
);

CREATE TABLE queue (
    run       TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job       TEXT   NOT NULL,
    labels    TEXT   NOT NULL,
    queued_at BIGINT NOT NULL,
    PRIMARY KEY (run, job)
);

CREATE TABLE leases (
    id         TEXT   NOT NULL PRIMARY KEY,
    run        TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job        TEXT   NOT NULL,
    runner     TEXT   NOT NULL,
    taken      BIGINT NOT NULL,
    expires_at BIGINT,
    UNIQUE (run, job)
);
CREATE INDEX leases_by_end ON leases (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE events (
    run      TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    kind     TEXT   NOT NULL CHECK (kind IN ('event', 'log')),
    job      TEXT,
    step     BIGINT,
    lease    TEXT,
    body     BLOB   NOT NULL,
    PRIMARY KEY (run, sequence)
);
CREATE INDEX events_logs ON events (run, job, sequence) WHERE kind = 'log';
