-- +goose Up
-- Requests that somebody else found good, for challenges of his: he is told of
-- the certificate. There is one once an issuance has the same challenge,
-- transaction and key. The request is sealed, and empty once he was told.
CREATE TABLE scep_report (
  challenge      TEXT NOT NULL,
  transaction_id TEXT NOT NULL,
  spki           TEXT NOT NULL,
  csr            BLOB NOT NULL,
  created_at     BIGINT NOT NULL,
  due_at         BIGINT NOT NULL,
  told_at        BIGINT NOT NULL,
  tries          INTEGER NOT NULL,
  PRIMARY KEY (challenge, transaction_id, spki)
);
CREATE INDEX scep_report_due ON scep_report (told_at, due_at);
