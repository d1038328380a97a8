-- +goose NO TRANSACTION
-- +goose Up
-- Tokens, sessions and links are kept as hashes of their secrets.
CREATE TABLE IF NOT EXISTS token (
  id         VARCHAR(64) NOT NULL PRIMARY KEY,
  hash       VARCHAR(64) NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  role       VARCHAR(32) NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS session (
  hash       VARCHAR(64) NOT NULL PRIMARY KEY,
  role       VARCHAR(32) NOT NULL,
  user_id    VARCHAR(64) NOT NULL,
  device_id  VARCHAR(64) NOT NULL,
  opened_at  BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  KEY session_expires (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS link (
  hash       VARCHAR(64) NOT NULL PRIMARY KEY,
  user_id    VARCHAR(64) NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
