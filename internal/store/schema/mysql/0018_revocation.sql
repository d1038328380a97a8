-- +goose NO TRANSACTION
-- +goose Up
-- The list on which a certificate is revoked: the one that it names.
ALTER TABLE issuance ADD COLUMN IF NOT EXISTS shard VARCHAR(16) NOT NULL DEFAULT '';

-- What lists hold, in the order in which a list is read.
CREATE TABLE IF NOT EXISTS revocation (
  issuer     VARCHAR(255) NOT NULL,
  shard      VARCHAR(16) NOT NULL,
  serial     VARCHAR(64) NOT NULL,
  revoked_at BIGINT NOT NULL,
  reason     VARCHAR(32) NOT NULL,
  not_after  BIGINT NOT NULL,
  PRIMARY KEY (issuer, shard, serial)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT IGNORE INTO revocation (issuer, shard, serial, revoked_at, reason, not_after)
  SELECT i.issuer, '', i.serial, c.revoked_at, c.reason, c.not_after FROM certificate c
    JOIN issuance i ON i.fingerprint = c.fingerprint WHERE c.revoked_at > 0 AND c.source = 'issued'
  UNION ALL SELECT issuer, '', serial, abandoned_at, 'cessationOfOperation', not_after FROM issuance WHERE state = 'abandoned';

-- The published lists; one is behind while published < revision. The one
-- without a shard has all revocations of its issuer, while they are few enough.
ALTER TABLE crl ADD COLUMN IF NOT EXISTS shard VARCHAR(16) NOT NULL DEFAULT '' AFTER issuer;
ALTER TABLE crl DROP PRIMARY KEY, ADD PRIMARY KEY (issuer, shard);

-- OCSP answers that somebody asked for. A wanted one is to be signed anew; the
-- revision rises with each reason to.
CREATE TABLE IF NOT EXISTS ocsp (
  issuer      VARCHAR(255) NOT NULL,
  serial      VARCHAR(64) NOT NULL,
  hash        VARCHAR(16) NOT NULL,
  wanted      INTEGER NOT NULL,
  revision    BIGINT NOT NULL,
  this_update BIGINT NOT NULL,
  der         LONGBLOB NOT NULL,
  PRIMARY KEY (issuer, serial, hash),
  KEY ocsp_wanted (issuer, wanted),
  KEY ocsp_age (this_update)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE INDEX IF NOT EXISTS issuance_time ON issuance (issued_at, fingerprint);
CREATE INDEX IF NOT EXISTS users_disabled ON users (disabled);
