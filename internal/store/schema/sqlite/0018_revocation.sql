-- +goose Up
-- The list on which a certificate is revoked: the one that it names.
ALTER TABLE issuance ADD COLUMN shard TEXT NOT NULL DEFAULT '';

-- What lists hold, in the order in which a list is read.
CREATE TABLE revocation (
  issuer     TEXT NOT NULL,
  shard      TEXT NOT NULL,
  serial     TEXT NOT NULL,
  revoked_at BIGINT NOT NULL,
  reason     TEXT NOT NULL,
  not_after  BIGINT NOT NULL,
  PRIMARY KEY (issuer, shard, serial)
) WITHOUT ROWID;
INSERT INTO revocation (issuer, shard, serial, revoked_at, reason, not_after)
  SELECT i.issuer, '', i.serial, c.revoked_at, c.reason, c.not_after FROM certificate c
    JOIN issuance i ON i.fingerprint = c.fingerprint WHERE c.revoked_at > 0 AND c.source = 'issued'
  UNION ALL SELECT issuer, '', serial, abandoned_at, 'cessationOfOperation', not_after FROM issuance WHERE state = 'abandoned';

-- The published lists; one is behind while published < revision. The one
-- without a shard has all revocations of its issuer, while they are few enough.
CREATE TABLE crl_list (
  issuer      TEXT NOT NULL,
  shard       TEXT NOT NULL,
  revision    BIGINT NOT NULL,
  published   BIGINT NOT NULL,
  number      BIGINT NOT NULL,
  this_update BIGINT NOT NULL,
  der         BLOB NOT NULL,
  PRIMARY KEY (issuer, shard)
);
INSERT INTO crl_list (issuer, shard, revision, published, number, this_update, der)
  SELECT issuer, '', revision, published, number, this_update, der FROM crl;
DROP TABLE crl;
ALTER TABLE crl_list RENAME TO crl;

-- OCSP answers that somebody asked for. A wanted one is to be signed anew; the
-- revision rises with each reason to.
CREATE TABLE ocsp (
  issuer      TEXT NOT NULL,
  serial      TEXT NOT NULL,
  hash        TEXT NOT NULL,
  wanted      INTEGER NOT NULL,
  revision    BIGINT NOT NULL,
  this_update BIGINT NOT NULL,
  der         BLOB NOT NULL,
  PRIMARY KEY (issuer, serial, hash)
);
CREATE INDEX ocsp_wanted ON ocsp (issuer, serial) WHERE wanted = 1;
CREATE INDEX ocsp_age ON ocsp (this_update);

CREATE INDEX issuance_time ON issuance (issued_at, fingerprint);
CREATE INDEX users_disabled ON users (id) WHERE disabled = 1;
