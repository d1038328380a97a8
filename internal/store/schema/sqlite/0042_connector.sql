-- +goose Up
-- Other MDMs. terms is JSON, seal the keeper's signature over what was approved
-- (empty: it was not), secret the SHA-256 of what the MDM shows.
CREATE TABLE connector (
  id         TEXT NOT NULL PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  terms      TEXT NOT NULL,
  secret     TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  actor_kind TEXT NOT NULL,
  actor_id   TEXT NOT NULL,
  consent_id TEXT NOT NULL,
  seal       BLOB NOT NULL,
  revoked_at BIGINT NOT NULL
);

-- The newest revocation list of each of its CAs.
CREATE TABLE connector_crl (
  connector_id TEXT NOT NULL,
  issuer       TEXT NOT NULL,
  der          BLOB NOT NULL,
  at           BIGINT NOT NULL,
  PRIMARY KEY (connector_id, issuer)
);

-- What was handed over. content is sealed to the device, and kept until then;
-- NULL: nothing came of it, or it is over.
CREATE TABLE connector_delivery (
  id           TEXT NOT NULL PRIMARY KEY,
  connector_id TEXT NOT NULL,
  user_id      TEXT NOT NULL,
  device_id    TEXT NOT NULL,
  request      TEXT NOT NULL,
  opened       INTEGER NOT NULL,
  at           BIGINT NOT NULL,
  content      BLOB,
  until        BIGINT NOT NULL
);
CREATE INDEX connector_delivery_connector ON connector_delivery (connector_id, at);
CREATE INDEX connector_delivery_user ON connector_delivery (user_id, at);
CREATE INDEX connector_delivery_request ON connector_delivery (request, until);
CREATE INDEX connector_delivery_at ON connector_delivery (at);
