-- +goose NO TRANSACTION
-- +goose Up
-- Whose database this is: one row, with the fingerprint of the root CA in the
-- data directory that it belongs to.
CREATE TABLE IF NOT EXISTS installation (
  id         INTEGER NOT NULL PRIMARY KEY,
  root       VARCHAR(64) NOT NULL,
  created_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
