-- +goose NO TRANSACTION
-- +goose Up
-- Long work. Its items are what it is done to, one by one; the counts are of
-- them. A job is leased while somebody works on it.
CREATE TABLE IF NOT EXISTS job (
  id          VARCHAR(64) NOT NULL PRIMARY KEY,
  kind        VARCHAR(64) NOT NULL,
  target      TEXT NOT NULL,
  state       VARCHAR(16) NOT NULL,
  actor_kind  VARCHAR(32) NOT NULL,
  actor_id    VARCHAR(255) NOT NULL,
  remote      VARCHAR(64) NOT NULL,
  total       BIGINT NOT NULL,
  done        BIGINT NOT NULL,
  failed      BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  ended_at    BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  KEY job_created (created_at, id),
  KEY job_open (ended_at, lease_until)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS job_item (
  job_id   VARCHAR(64) NOT NULL,
  item     VARCHAR(64) NOT NULL,
  state    VARCHAR(16) NOT NULL,
  code     VARCHAR(64) NOT NULL,
  attempts INTEGER NOT NULL,
  at       BIGINT NOT NULL,
  PRIMARY KEY (job_id, item),
  KEY job_item_state (job_id, state, item),
  FOREIGN KEY (job_id) REFERENCES job (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Keys of requests that were made, as hashes.
CREATE TABLE IF NOT EXISTS request_key (
  hash       VARCHAR(64) NOT NULL PRIMARY KEY,
  expires_at BIGINT NOT NULL,
  KEY request_key_expires (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The order of lists.
CREATE INDEX IF NOT EXISTS device_created ON device (created_at, id);
CREATE INDEX IF NOT EXISTS token_created ON token (created_at, id);
CREATE INDEX IF NOT EXISTS journal_order ON journal (at, id);
CREATE INDEX IF NOT EXISTS journal_user_order ON journal (user_id, at, id);
CREATE INDEX IF NOT EXISTS journal_device_order ON journal (device_id, at, id);
DROP INDEX IF EXISTS journal_at ON journal;
DROP INDEX IF EXISTS journal_user ON journal;
DROP INDEX IF EXISTS journal_device ON journal;
