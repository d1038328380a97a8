-- +goose NO TRANSACTION
-- +goose Up
-- Escrow keys that were destroyed: nothing is sealed to them any more. The index
-- of wraps by recipient has their records in order as it is.
CREATE TABLE IF NOT EXISTS escrow_destroyed (
  recipient VARCHAR(255) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  at        BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
