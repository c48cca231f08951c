CREATE TABLE machines (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    backend    TEXT   NOT NULL,
    image      TEXT,
    vcpus      BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL,
    state      TEXT   NOT NULL,
    reason     TEXT,
    owner      TEXT   NOT NULL,
    endpoint   TEXT   NOT NULL,
    leftovers  TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

CREATE TABLE machine_snapshots (
    id          TEXT   NOT NULL PRIMARY KEY,
    machine     TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    backend     TEXT   NOT NULL,
    image       TEXT,
    vcpus       BIGINT NOT NULL,
    memory_mib  BIGINT NOT NULL,
    folder      TEXT   NOT NULL,
    bytes       BIGINT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX machine_snapshots_by_machine ON machine_snapshots (machine, created_at);
