-- +goose Up
-- The keys of each line follow one another: wanted, next, current, past, over,
-- or cancelled before. chain is the certificate and those above, DER; the key
-- is in the keyring under the name, which is in use for ever.
CREATE TABLE generation (
  name        TEXT PRIMARY KEY,
  line        TEXT NOT NULL,
  number      INTEGER NOT NULL,
  above       TEXT NOT NULL,
  state       TEXT NOT NULL,
  since       BIGINT NOT NULL,
  chain       BLOB NOT NULL,
  lease_until BIGINT NOT NULL,
  UNIQUE (line, number)
);
