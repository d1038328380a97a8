-- +goose Up
-- Tokens, sessions and links are kept as hashes of their secrets.
CREATE TABLE token (
  id         TEXT PRIMARY KEY,
  hash       TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  role       TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL
);
CREATE TABLE session (
  hash       TEXT PRIMARY KEY,
  role       TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  device_id  TEXT NOT NULL,
  opened_at  BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX session_expires ON session (expires_at);
CREATE TABLE link (
  hash       TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL
);
