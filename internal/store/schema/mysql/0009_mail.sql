-- +goose NO TRANSACTION
-- +goose Up
-- content is what a mail says, boxed, because it may hold a link; empty once it
-- is forgotten. day and nth bound how many a user gets on one topic: nth is its
-- number among those of that day (days since 1970 UTC). since is from when on
-- the time for trying counts.
CREATE TABLE IF NOT EXISTS mail (
  id          VARCHAR(64) NOT NULL PRIMARY KEY,
  user_id     VARCHAR(64) NOT NULL,
  device_id   VARCHAR(64) NOT NULL,
  topic       VARCHAR(32) NOT NULL,
  state       VARCHAR(32) NOT NULL,
  content     LONGBLOB NOT NULL,
  day         BIGINT NOT NULL,
  nth         INTEGER NOT NULL,
  attempts    INTEGER NOT NULL,
  code        INTEGER NOT NULL,
  reason      TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  since       BIGINT NOT NULL,
  next_at     BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  done_at     BIGINT NOT NULL,
  UNIQUE KEY mail_number (user_id, topic, day, nth),
  KEY mail_due (state, next_at),
  KEY mail_created (created_at),
  KEY mail_done (done_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What the user of a device has been told of it: that it was enrolled, and
-- which certificates are on it (fingerprints as JSON; signs: a signing key).
CREATE TABLE IF NOT EXISTS told (
  device_id VARCHAR(64) NOT NULL PRIMARY KEY,
  certs     MEDIUMTEXT NOT NULL,
  signs     INTEGER NOT NULL,
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
