-- +goose NO TRANSACTION
-- +goose Up
-- The keys of each line follow one another: wanted, next, current, past, over,
-- or cancelled before. chain is the certificate and those above, DER; the key
-- is in the keyring under the name, which is in use for ever.
CREATE TABLE IF NOT EXISTS generation (
  name        VARCHAR(64) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  line        VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  number      INTEGER NOT NULL,
  above       VARCHAR(64) COLLATE utf8mb4_bin NOT NULL,
  state       VARCHAR(16) COLLATE utf8mb4_bin NOT NULL,
  since       BIGINT NOT NULL,
  chain       LONGBLOB NOT NULL,
  lease_until BIGINT NOT NULL,
  UNIQUE KEY generation_line (line, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
