-- +goose Up
-- Keys of an Intune tenant that people agreed to. request is exactly what they
-- agreed to; mark is made with a key that is not in the database. One is in use:
-- that which has not ended.
CREATE TABLE tenant_recipient (
  id         TEXT PRIMARY KEY,
  consent_id TEXT NOT NULL,
  request    TEXT NOT NULL,
  mark       BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  ended_at   BIGINT NOT NULL
);

-- Certificates that the tenant has or is to have. States: looking, wanted,
-- sealed, there, removing. pfx and password are there while it is sealed: PKCS#12, and its
-- password encrypted to the recipient.
CREATE TABLE tenant_copy (
  user_id     TEXT NOT NULL,
  certificate TEXT NOT NULL,
  state       TEXT NOT NULL,
  recipient   TEXT NOT NULL,
  account     TEXT NOT NULL,
  thumbprint  TEXT NOT NULL,
  pfx         BLOB NOT NULL,
  password    BLOB NOT NULL,
  code        TEXT NOT NULL,
  attempts    INTEGER NOT NULL,
  next_at     BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  changed_at  BIGINT NOT NULL,
  PRIMARY KEY (user_id, certificate)
);
CREATE INDEX tenant_copy_due ON tenant_copy (state, next_at);
