-- +goose NO TRANSACTION
-- +goose Up
-- Stays of administrators in the console, by the hash of their cookie. Each is
-- as good as the API token that it was opened with. used_at is to the minute.
CREATE TABLE IF NOT EXISTS console_session (
  hash       VARCHAR(64) NOT NULL PRIMARY KEY,
  token_id   VARCHAR(64) NOT NULL,
  opened_at  BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  KEY console_session_expires (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
