-- +goose NO TRANSACTION
-- +goose Up
-- What lets an importer hand in, once, the keys that he sealed.
CREATE TABLE IF NOT EXISTS escrow_ticket (
  id         VARCHAR(64) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  actor      TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  KEY escrow_ticket_expires (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
-- Keys that were sealed elsewhere and not opened since.
CREATE TABLE IF NOT EXISTS escrow_unchecked (
  key_id      VARCHAR(64) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  lease_until BIGINT NOT NULL DEFAULT 0,
  KEY escrow_unchecked_lease (lease_until, key_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
