-- +goose Up
-- One imported private key. It opens through one of its wraps only.
CREATE TABLE escrow_key (
  id          TEXT PRIMARY KEY,
  user_id     TEXT NOT NULL,
  certificate TEXT NOT NULL,
  spki        TEXT NOT NULL,
  suite       INTEGER NOT NULL,
  nonce       BLOB NOT NULL,
  ciphertext  BLOB NOT NULL,
  source      TEXT NOT NULL,
  created_by  TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  UNIQUE (user_id, certificate),
  FOREIGN KEY (certificate, user_id) REFERENCES certificate (fingerprint, user_id)
);
CREATE INDEX escrow_key_certificate ON escrow_key (certificate);
CREATE TABLE escrow_wrap (
  key_id    TEXT NOT NULL REFERENCES escrow_key (id),
  recipient TEXT NOT NULL,
  enc       BLOB NOT NULL,
  sealed    BLOB NOT NULL,
  PRIMARY KEY (key_id, recipient)
);
CREATE INDEX escrow_wrap_recipient ON escrow_wrap (recipient);
