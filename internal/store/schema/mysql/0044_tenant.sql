-- +goose NO TRANSACTION
-- +goose Up
-- Keys of an Intune tenant that people agreed to. request is exactly what they
-- agreed to; mark is made with a key that is not in the database. One is in use:
-- that which has not ended.
CREATE TABLE IF NOT EXISTS tenant_recipient (
  id         VARCHAR(64) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  consent_id VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  request    MEDIUMTEXT COLLATE utf8mb4_bin NOT NULL,
  mark       LONGBLOB NOT NULL,
  created_at BIGINT NOT NULL,
  ended_at   BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Certificates that the tenant has or is to have. States: looking, wanted,
-- sealed, there, removing. pfx and password are there while it is sealed: PKCS#12, and its
-- password encrypted to the recipient.
CREATE TABLE IF NOT EXISTS tenant_copy (
  user_id     VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  certificate VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  state       VARCHAR(32) COLLATE utf8mb4_bin NOT NULL,
  recipient   VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  account     VARCHAR(128) COLLATE utf8mb4_bin NOT NULL,
  thumbprint  VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  pfx         LONGBLOB NOT NULL,
  password    LONGBLOB NOT NULL,
  code        VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  attempts    INTEGER NOT NULL,
  next_at     BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  changed_at  BIGINT NOT NULL,
  PRIMARY KEY (user_id, certificate),
  KEY tenant_copy_due (state, next_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
