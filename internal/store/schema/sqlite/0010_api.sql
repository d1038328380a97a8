-- +goose Up
-- Long work. Its items are what it is done to, one by one; the counts are of
-- them. A job is leased while somebody works on it.
CREATE TABLE job (
  id          TEXT PRIMARY KEY,
  kind        TEXT NOT NULL,
  target      TEXT NOT NULL,
  state       TEXT NOT NULL,
  actor_kind  TEXT NOT NULL,
  actor_id    TEXT NOT NULL,
  remote      TEXT NOT NULL,
  total       BIGINT NOT NULL,
  done        BIGINT NOT NULL,
  failed      BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  ended_at    BIGINT NOT NULL,
  lease_until BIGINT NOT NULL
);
CREATE INDEX job_created ON job (created_at, id);
CREATE INDEX job_open ON job (ended_at, lease_until);
CREATE TABLE job_item (
  job_id   TEXT NOT NULL REFERENCES job (id),
  item     TEXT NOT NULL,
  state    TEXT NOT NULL,
  code     TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  at       BIGINT NOT NULL,
  PRIMARY KEY (job_id, item)
);
CREATE INDEX job_item_state ON job_item (job_id, state, item);

-- Keys of requests that were made, as hashes.
CREATE TABLE request_key (
  hash       TEXT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX request_key_expires ON request_key (expires_at);

-- The order of lists.
CREATE INDEX device_created ON device (created_at, id);
CREATE INDEX token_created ON token (created_at, id);
CREATE INDEX journal_order ON journal (at, id);
CREATE INDEX journal_user_order ON journal (user_id, at, id);
CREATE INDEX journal_device_order ON journal (device_id, at, id);
DROP INDEX journal_at;
DROP INDEX journal_user;
DROP INDEX journal_device;
