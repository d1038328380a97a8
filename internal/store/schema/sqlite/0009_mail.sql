-- +goose Up
-- content is what a mail says, boxed, because it may hold a link; empty once it
-- is forgotten. day and nth bound how many a user gets on one topic: nth is its
-- number among those of that day (days since 1970 UTC). since is from when on
-- the time for trying counts.
CREATE TABLE mail (
  id          TEXT PRIMARY KEY,
  user_id     TEXT NOT NULL,
  device_id   TEXT NOT NULL,
  topic       TEXT NOT NULL,
  state       TEXT NOT NULL,
  content     BLOB NOT NULL,
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
  UNIQUE (user_id, topic, day, nth)
);
CREATE INDEX mail_due ON mail (next_at) WHERE state = 'waiting';
CREATE INDEX mail_created ON mail (created_at);
CREATE INDEX mail_done ON mail (done_at) WHERE done_at > 0;

-- What the user of a device has been told of it: that it was enrolled, and
-- which certificates are on it (fingerprints as JSON; signs: a signing key).
CREATE TABLE told (
  device_id TEXT PRIMARY KEY REFERENCES device (id),
  certs     TEXT NOT NULL,
  signs     INTEGER NOT NULL
);
