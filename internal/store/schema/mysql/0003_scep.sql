-- +goose NO TRANSACTION
-- +goose Up
-- A challenge gives one certificate: the one whose storing sets used_at.
CREATE TABLE IF NOT EXISTS scep_challenge (
  hash       VARCHAR(64) NOT NULL PRIMARY KEY,
  profile    VARCHAR(255) NOT NULL,
  user_id    VARCHAR(64) NOT NULL,
  device_id  VARCHAR(64) NOT NULL,
  names      MEDIUMTEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  voided_at  BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  attempts   INTEGER NOT NULL,
  KEY scep_challenge_device (device_id, profile)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Each serial number that was ever taken. States: issuing (written before the
-- signature), issued, abandoned (the process died between; revoked for safety).
-- What allowed it is a challenge or the certificate that it renews.
CREATE TABLE IF NOT EXISTS issuance (
  issuer         VARCHAR(255) NOT NULL,
  serial         VARCHAR(255) NOT NULL,
  state          VARCHAR(32) NOT NULL,
  profile        VARCHAR(255) NOT NULL,
  user_id        VARCHAR(64) NOT NULL,
  device_id      VARCHAR(64) NOT NULL,
  names          MEDIUMTEXT NOT NULL,
  challenge      VARCHAR(64) NOT NULL,
  renews         VARCHAR(64) NOT NULL,
  transaction_id VARBINARY(255) NOT NULL,
  spki           VARCHAR(64) NOT NULL,
  tbs            LONGBLOB NOT NULL,
  fingerprint    VARCHAR(64) NOT NULL,
  not_after      BIGINT NOT NULL,
  created_at     BIGINT NOT NULL,
  issued_at      BIGINT NOT NULL,
  abandoned_at   BIGINT NOT NULL,
  superseded_at  BIGINT NOT NULL,
  PRIMARY KEY (issuer, serial),
  KEY issuance_fingerprint (fingerprint),
  KEY issuance_transaction (transaction_id, spki),
  KEY issuance_device (device_id, profile),
  KEY issuance_state (issuer, state)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The published list of an issuer; it is behind while published < revision.
CREATE TABLE IF NOT EXISTS crl (
  issuer      VARCHAR(255) NOT NULL PRIMARY KEY,
  revision    BIGINT NOT NULL,
  published   BIGINT NOT NULL,
  number      BIGINT NOT NULL,
  this_update BIGINT NOT NULL,
  der         LONGBLOB NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
