-- +goose NO TRANSACTION
-- +goose Up
-- RSA keys that passwords of PKCS#12 files come encrypted to. public is the
-- SubjectPublicKeyInfo, private the PKCS#8 in a box.
CREATE TABLE IF NOT EXISTS transport_key (
  provider   VARCHAR(200) NOT NULL,
  name       VARCHAR(200) NOT NULL,
  public     LONGBLOB NOT NULL,
  private    LONGBLOB NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (provider, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
