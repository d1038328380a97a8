-- +goose Up
-- Certificate requests that a person decides on. States: open, approved,
-- issued, denied, void (its challenge was replaced). A challenge is reserved by
-- the one request that it allowed, and spent when the certificate is stored;
-- what allowed it is a challenge or the certificate that it renews. Signer is
-- the SHA-256 of the key that signs the messages of the transaction.
CREATE TABLE scep_request (
  id             TEXT PRIMARY KEY,
  profile        TEXT NOT NULL,
  user_id        TEXT NOT NULL,
  device_id      TEXT NOT NULL,
  names          TEXT NOT NULL,
  challenge      TEXT NOT NULL,
  renews         TEXT NOT NULL,
  transaction_id TEXT NOT NULL,
  signer         TEXT NOT NULL,
  spki           TEXT NOT NULL,
  csr            BLOB NOT NULL,
  remote         TEXT NOT NULL,
  state          TEXT NOT NULL,
  created_at     BIGINT NOT NULL,
  expires_at     BIGINT NOT NULL,
  decided_at     BIGINT NOT NULL,
  actor_kind     TEXT NOT NULL,
  actor_id       TEXT NOT NULL,
  decider        TEXT NOT NULL,
  reason         TEXT NOT NULL,
  fingerprint    TEXT NOT NULL
);
CREATE INDEX scep_request_transaction ON scep_request (transaction_id, signer);
CREATE INDEX scep_request_challenge ON scep_request (challenge, renews);
CREATE INDEX scep_request_device ON scep_request (device_id, profile);
CREATE INDEX scep_request_state ON scep_request (state, expires_at);
CREATE INDEX scep_request_created ON scep_request (created_at, id);

-- Why a challenge was refused last, for people; empty for never.
ALTER TABLE scep_challenge ADD COLUMN refusal TEXT NOT NULL DEFAULT '';

-- Whose token it is; empty for a program's.
ALTER TABLE token ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
