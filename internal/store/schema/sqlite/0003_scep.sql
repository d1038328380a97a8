-- +goose Up
-- A challenge gives one certificate: the one whose storing sets used_at.
CREATE TABLE scep_challenge (
  hash       TEXT PRIMARY KEY,
  profile    TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  device_id  TEXT NOT NULL,
  names      TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  voided_at  BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  attempts   INTEGER NOT NULL
);
CREATE INDEX scep_challenge_device ON scep_challenge (device_id, profile);

-- Each serial number that was ever taken. States: issuing (written before the
-- signature), issued, abandoned (the process died between; revoked for safety).
-- What allowed it is a challenge or the certificate that it renews.
CREATE TABLE issuance (
  issuer         TEXT NOT NULL,
  serial         TEXT NOT NULL,
  state          TEXT NOT NULL,
  profile        TEXT NOT NULL,
  user_id        TEXT NOT NULL,
  device_id      TEXT NOT NULL,
  names          TEXT NOT NULL,
  challenge      TEXT NOT NULL,
  renews         TEXT NOT NULL,
  transaction_id TEXT NOT NULL,
  spki           TEXT NOT NULL,
  tbs            BLOB NOT NULL,
  fingerprint    TEXT NOT NULL,
  not_after      BIGINT NOT NULL,
  created_at     BIGINT NOT NULL,
  issued_at      BIGINT NOT NULL,
  abandoned_at   BIGINT NOT NULL,
  superseded_at  BIGINT NOT NULL,
  PRIMARY KEY (issuer, serial)
);
CREATE INDEX issuance_fingerprint ON issuance (fingerprint);
CREATE INDEX issuance_transaction ON issuance (transaction_id, spki);
CREATE INDEX issuance_device ON issuance (device_id, profile);
CREATE INDEX issuance_state ON issuance (issuer, state) WHERE state <> 'issued';
CREATE INDEX certificate_spki ON certificate (spki);
CREATE INDEX certificate_revoked ON certificate (revoked_at) WHERE revoked_at > 0;

-- The published list of an issuer; it is behind while published < revision.
CREATE TABLE crl (
  issuer      TEXT PRIMARY KEY,
  revision    BIGINT NOT NULL,
  published   BIGINT NOT NULL,
  number      BIGINT NOT NULL,
  this_update BIGINT NOT NULL,
  der         BLOB NOT NULL
);
