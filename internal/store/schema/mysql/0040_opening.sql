-- +goose NO TRANSACTION
-- +goose Up
-- What users have not been told of yet: how many of their keys were opened for
-- a device, from when to when. The index on openings in the journal has alarms
-- as well.
CREATE TABLE IF NOT EXISTS opening (
  device_id VARCHAR(64) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  user_id   VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  keys_     INTEGER NOT NULL,
  first_at  BIGINT NOT NULL,
  last_at   BIGINT NOT NULL,
  KEY opening_user (user_id),
  KEY opening_first (first_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
