-- +goose NO TRANSACTION
-- +goose Up
-- Which profiles of ours a device last said that it has, as a JSON array of
-- identifiers: what is not there is removed.
CREATE TABLE IF NOT EXISTS device_profiles (
  device_id   VARCHAR(64) NOT NULL PRIMARY KEY,
  identifiers MEDIUMTEXT NOT NULL,
  at          BIGINT NOT NULL,
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Who counts and then acts holds the row of what he counts.
CREATE TABLE IF NOT EXISTS turnstile (
  name VARCHAR(64) NOT NULL PRIMARY KEY
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
