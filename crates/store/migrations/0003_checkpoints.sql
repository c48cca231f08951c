CREATE TABLE checkpoints (
    id      TEXT   NOT NULL PRIMARY KEY,
    run     TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    job     TEXT   NOT NULL,
    step    BIGINT NOT NULL,
    kind    TEXT   NOT NULL CHECK (kind IN ('memory', 'files')),
    bytes   BIGINT NOT NULL,
    kept_at BIGINT NOT NULL
);
CREATE INDEX checkpoints_of_run ON checkpoints (run, job, step);
