-- +goose Up
-- Which profiles of ours a device last said that it has, as a JSON array of
-- identifiers: what is not there is removed.
CREATE TABLE device_profiles (
  device_id   TEXT PRIMARY KEY REFERENCES device (id),
  identifiers TEXT NOT NULL,
  at          BIGINT NOT NULL
);

-- Who counts and then acts holds the row of what he counts.
CREATE TABLE turnstile (
  name TEXT PRIMARY KEY
);
