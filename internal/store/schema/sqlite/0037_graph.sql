-- +goose Up
-- RSA keys that passwords of PKCS#12 files come encrypted to. public is the
-- SubjectPublicKeyInfo, private the PKCS#8 in a box.
CREATE TABLE transport_key (
  provider   TEXT NOT NULL,
  name       TEXT NOT NULL,
  public     BLOB NOT NULL,
  private    BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (provider, name)
);
