-- +goose NO TRANSACTION
-- +goose Up
-- Requests that somebody else found good, for challenges of his: he is told of
-- the certificate. There is one once an issuance has the same challenge,
-- transaction and key. The request is sealed, and empty once he was told.
CREATE TABLE IF NOT EXISTS scep_report (
  challenge      VARCHAR(64) NOT NULL,
  transaction_id VARBINARY(255) NOT NULL,
  spki           VARCHAR(64) NOT NULL,
  csr            LONGBLOB NOT NULL,
  created_at     BIGINT NOT NULL,
  due_at         BIGINT NOT NULL,
  told_at        BIGINT NOT NULL,
  tries          INTEGER NOT NULL,
  PRIMARY KEY (challenge, transaction_id, spki),
  KEY scep_report_due (told_at, due_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
