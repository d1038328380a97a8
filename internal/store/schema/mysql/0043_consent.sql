-- +goose NO TRANSACTION
-- +goose Up
-- What several people must agree to before it happens. request is exactly what
-- is asked for, digest is over it and everything else that is agreed to. States:
-- open, used, denied, cancelled. need is how many must approve.
CREATE TABLE IF NOT EXISTS consent (
  id         VARCHAR(64) NOT NULL PRIMARY KEY,
  kind       VARCHAR(64) NOT NULL,
  request    MEDIUMTEXT NOT NULL,
  digest     VARCHAR(64) NOT NULL,
  sentence   TEXT NOT NULL,
  person     VARCHAR(64) NOT NULL,
  token_id   VARCHAR(64) NOT NULL,
  need       INTEGER NOT NULL,
  state      VARCHAR(32) NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  ended_at   BIGINT NOT NULL,
  ended_by   VARCHAR(64) NOT NULL,
  reason     TEXT NOT NULL,
  KEY consent_created (created_at, id),
  KEY consent_state (state, expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Rows are added and never changed. mark is made with a key that is not in the
-- database.
CREATE TABLE IF NOT EXISTS consent_approval (
  consent_id VARCHAR(64) NOT NULL,
  token_id   VARCHAR(64) NOT NULL,
  person     VARCHAR(64) NOT NULL,
  at         BIGINT NOT NULL,
  mark       LONGBLOB NOT NULL,
  PRIMARY KEY (consent_id, token_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What was sealed to a recipient, by the consent to it. Not in backups.
CREATE TABLE IF NOT EXISTS key_export (
  consent_id VARCHAR(64) NOT NULL PRIMARY KEY,
  file       LONGBLOB NOT NULL,
  expires_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Who approves, and the address that his links go to. Nobody else sees what he
-- signs in with. The marks are made as those of approvals are.
CREATE TABLE IF NOT EXISTS approver (
  user_id      VARCHAR(64) NOT NULL PRIMARY KEY,
  address      VARCHAR(320) NOT NULL,
  appointed_at BIGINT NOT NULL,
  removed_at   BIGINT NOT NULL,
  mark         LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS approver_link (
  hash       VARCHAR(64) NOT NULL PRIMARY KEY,
  user_id    VARCHAR(64) NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  mark       LONGBLOB NOT NULL,
  KEY approver_link_user (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
ALTER TABLE token ADD COLUMN IF NOT EXISTS mark LONGBLOB;

-- The token by which it was made; empty for the server's own machine.
ALTER TABLE token ADD COLUMN IF NOT EXISTS made_by VARCHAR(64) COLLATE utf8mb4_bin NOT NULL DEFAULT '';
