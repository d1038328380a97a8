-- +goose NO TRANSACTION
-- +goose Up
-- Certificate requests that a person decides on. States: open, approved,
-- issued, denied, void (its challenge was replaced). A challenge is reserved by
-- the one request that it allowed, and spent when the certificate is stored;
-- what allowed it is a challenge or the certificate that it renews. Signer is
-- the SHA-256 of the key that signs the messages of the transaction.
CREATE TABLE IF NOT EXISTS scep_request (
  id             VARCHAR(64) NOT NULL PRIMARY KEY,
  profile        VARCHAR(255) NOT NULL,
  user_id        VARCHAR(64) NOT NULL,
  device_id      VARCHAR(64) NOT NULL,
  names          MEDIUMTEXT NOT NULL,
  challenge      VARCHAR(64) NOT NULL,
  renews         VARCHAR(64) NOT NULL,
  transaction_id VARBINARY(255) NOT NULL,
  signer         VARCHAR(64) NOT NULL,
  spki           VARCHAR(64) NOT NULL,
  csr            LONGBLOB NOT NULL,
  remote         VARCHAR(255) NOT NULL,
  state          VARCHAR(32) NOT NULL,
  created_at     BIGINT NOT NULL,
  expires_at     BIGINT NOT NULL,
  decided_at     BIGINT NOT NULL,
  actor_kind     VARCHAR(32) NOT NULL,
  actor_id       VARCHAR(255) NOT NULL,
  decider        VARCHAR(64) NOT NULL,
  reason         TEXT NOT NULL,
  fingerprint    VARCHAR(64) NOT NULL,
  KEY scep_request_transaction (transaction_id, signer),
  KEY scep_request_challenge (challenge, renews),
  KEY scep_request_device (device_id, profile),
  KEY scep_request_state (state, expires_at),
  KEY scep_request_created (created_at, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Why a challenge was refused last, for people; empty for never.
ALTER TABLE scep_challenge ADD COLUMN IF NOT EXISTS refusal VARCHAR(500) COLLATE utf8mb4_bin NOT NULL DEFAULT '';

-- Whose token it is; empty for a program's.
ALTER TABLE token ADD COLUMN IF NOT EXISTS user_id VARCHAR(64) COLLATE utf8mb4_bin NOT NULL DEFAULT '';
