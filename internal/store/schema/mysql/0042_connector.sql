-- +goose NO TRANSACTION
-- +goose Up
-- Other MDMs. terms is JSON, seal the keeper's signature over what was approved
-- (empty: it was not), secret the SHA-256 of what the MDM shows.
CREATE TABLE IF NOT EXISTS connector (
  id         VARCHAR(64) NOT NULL PRIMARY KEY,
  name       VARCHAR(64) NOT NULL,
  terms      MEDIUMTEXT NOT NULL,
  secret     VARCHAR(64) NOT NULL,
  created_at BIGINT NOT NULL,
  actor_kind VARCHAR(32) NOT NULL,
  actor_id   VARCHAR(255) NOT NULL,
  consent_id VARCHAR(64) NOT NULL,
  seal       LONGBLOB NOT NULL,
  revoked_at BIGINT NOT NULL,
  UNIQUE KEY connector_name (name),
  UNIQUE KEY connector_secret (secret)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The newest revocation list of each of its CAs.
CREATE TABLE IF NOT EXISTS connector_crl (
  connector_id VARCHAR(64) NOT NULL,
  issuer       VARCHAR(64) NOT NULL,
  der          LONGBLOB NOT NULL,
  at           BIGINT NOT NULL,
  PRIMARY KEY (connector_id, issuer)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What was handed over. content is sealed to the device, and kept until then;
-- NULL: nothing came of it, or it is over.
CREATE TABLE IF NOT EXISTS connector_delivery (
  id           VARCHAR(64) NOT NULL PRIMARY KEY,
  connector_id VARCHAR(64) NOT NULL,
  user_id      VARCHAR(64) NOT NULL,
  device_id    VARCHAR(64) NOT NULL,
  request      VARCHAR(64) NOT NULL,
  opened       INTEGER NOT NULL,
  at           BIGINT NOT NULL,
  content      LONGBLOB,
  until        BIGINT NOT NULL,
  KEY connector_delivery_connector (connector_id, at),
  KEY connector_delivery_user (user_id, at),
  KEY connector_delivery_request (request, until),
  KEY connector_delivery_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
