-- +goose NO TRANSACTION
-- +goose Up
-- How pushing to a device goes: when it was last tried and when Apple last took
-- a push, how many it took since the device spoke, how many it did not take
-- since, and since when the token is dead.
CREATE TABLE IF NOT EXISTS device_push (
  device_id  VARCHAR(64) NOT NULL PRIMARY KEY,
  tried_at   BIGINT NOT NULL,
  sent_at    BIGINT NOT NULL,
  reason     TEXT NOT NULL,
  pushes     INTEGER NOT NULL,
  failures   INTEGER NOT NULL,
  refused_at BIGINT NOT NULL,
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The push certificate of each topic; its key is in the keyring. Devices that
-- enroll get the topic of the one that enrolls.
CREATE TABLE IF NOT EXISTS push_certificate (
  topic       VARCHAR(255) NOT NULL PRIMARY KEY,
  der         LONGBLOB NOT NULL,
  account     TEXT NOT NULL,
  enrolls     INTEGER NOT NULL,
  imported_at BIGINT NOT NULL,
  trouble     TEXT NOT NULL,
  troubled_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
