-- +goose Up
-- What several people must agree to before it happens. request is exactly what
-- is asked for, digest is over it and everything else that is agreed to. States:
-- open, used, denied, cancelled. need is how many must approve.
CREATE TABLE consent (
  id         TEXT PRIMARY KEY,
  kind       TEXT NOT NULL,
  request    TEXT NOT NULL,
  digest     TEXT NOT NULL,
  sentence   TEXT NOT NULL,
  person     TEXT NOT NULL,
  token_id   TEXT NOT NULL,
  need       INTEGER NOT NULL,
  state      TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  ended_at   BIGINT NOT NULL,
  ended_by   TEXT NOT NULL,
  reason     TEXT NOT NULL
);
CREATE INDEX consent_created ON consent (created_at, id);
CREATE INDEX consent_state ON consent (state, expires_at);

-- Rows are added and never changed. mark is made with a key that is not in the
-- database.
CREATE TABLE consent_approval (
  consent_id TEXT NOT NULL,
  token_id   TEXT NOT NULL,
  person     TEXT NOT NULL,
  at         BIGINT NOT NULL,
  mark       BLOB NOT NULL,
  PRIMARY KEY (consent_id, token_id)
);

-- What was sealed to a recipient, by the consent to it. Not in backups.
CREATE TABLE key_export (
  consent_id TEXT PRIMARY KEY,
  file       BLOB NOT NULL,
  expires_at BIGINT NOT NULL
);

-- Who approves, and the address that his links go to. Nobody else sees what he
-- signs in with. The marks are made as those of approvals are.
CREATE TABLE approver (
  user_id      TEXT PRIMARY KEY,
  address      TEXT NOT NULL,
  appointed_at BIGINT NOT NULL,
  removed_at   BIGINT NOT NULL,
  mark         BLOB NOT NULL
);
CREATE TABLE approver_link (
  hash       TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  mark       BLOB NOT NULL
);
CREATE INDEX approver_link_user ON approver_link (user_id);
ALTER TABLE token ADD COLUMN mark BLOB;

-- The token by which it was made; empty for the server's own machine.
ALTER TABLE token ADD COLUMN made_by TEXT NOT NULL DEFAULT '';
