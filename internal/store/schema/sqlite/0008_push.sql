-- +goose Up
-- How pushing to a device goes: when it was last tried and when Apple last took
-- a push, how many it took since the device spoke, how many it did not take
-- since, and since when the token is dead.
CREATE TABLE device_push (
  device_id  TEXT PRIMARY KEY REFERENCES device (id),
  tried_at   BIGINT NOT NULL,
  sent_at    BIGINT NOT NULL,
  reason     TEXT NOT NULL,
  pushes     INTEGER NOT NULL,
  failures   INTEGER NOT NULL,
  refused_at BIGINT NOT NULL
);

-- The push certificate of each topic; its key is in the keyring. Devices that
-- enroll get the topic of the one that enrolls.
CREATE TABLE push_certificate (
  topic       TEXT PRIMARY KEY,
  der         BLOB NOT NULL,
  account     TEXT NOT NULL,
  enrolls     INTEGER NOT NULL,
  imported_at BIGINT NOT NULL,
  trouble     TEXT NOT NULL,
  troubled_at BIGINT NOT NULL
);
