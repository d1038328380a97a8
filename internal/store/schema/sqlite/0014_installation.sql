-- +goose Up
-- Whose database this is: one row, with the fingerprint of the root CA in the
-- data directory that it belongs to.
CREATE TABLE installation (
  id         INTEGER PRIMARY KEY,
  root       TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
