-- +goose Up
-- Stays of administrators in the console, by the hash of their cookie. Each is
-- as good as the API token that it was opened with. used_at is to the minute.
CREATE TABLE console_session (
  hash       TEXT PRIMARY KEY,
  token_id   TEXT NOT NULL,
  opened_at  BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX console_session_expires ON console_session (expires_at);
