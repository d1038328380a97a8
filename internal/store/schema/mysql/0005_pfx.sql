-- +goose NO TRANSACTION
-- +goose Up
-- One imported private key. It opens through one of its wraps only.
CREATE TABLE IF NOT EXISTS escrow_key (
  id          VARCHAR(64) NOT NULL PRIMARY KEY,
  user_id     VARCHAR(64) NOT NULL,
  certificate VARCHAR(64) NOT NULL,
  spki        VARCHAR(64) NOT NULL,
  suite       INTEGER NOT NULL,
  nonce       LONGBLOB NOT NULL,
  ciphertext  LONGBLOB NOT NULL,
  source      VARCHAR(64) NOT NULL,
  created_by  TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  UNIQUE (user_id, certificate),
  FOREIGN KEY (certificate, user_id) REFERENCES certificate (fingerprint, user_id),
  KEY escrow_key_certificate (certificate)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS escrow_wrap (
  key_id    VARCHAR(64) NOT NULL,
  recipient VARCHAR(255) NOT NULL,
  enc       LONGBLOB NOT NULL,
  sealed    LONGBLOB NOT NULL,
  PRIMARY KEY (key_id, recipient),
  KEY escrow_wrap_recipient (recipient),
  FOREIGN KEY (key_id) REFERENCES escrow_key (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
