-- +goose NO TRANSACTION
-- +goose Up
-- One invitation a device. Only hashes of its link and code are here.
CREATE TABLE IF NOT EXISTS invitation (
  token       VARCHAR(64) NOT NULL PRIMARY KEY,
  code        VARCHAR(64) NOT NULL,
  lab         INTEGER NOT NULL,
  device_id   VARCHAR(64) NOT NULL UNIQUE,
  tries       INTEGER NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  redeemed_at BIGINT NOT NULL,
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- A device's bond to us. Tokens are boxed, empty for none. wake_at is the wish
-- for a push: from when on, 0 for none.
CREATE TABLE IF NOT EXISTS enrollment (
  device_id    VARCHAR(64) NOT NULL PRIMARY KEY,
  topic        TEXT NOT NULL,
  identity     VARCHAR(64) NOT NULL,
  identity_at  BIGINT NOT NULL,
  previous     VARCHAR(64) NOT NULL,
  push_token   LONGBLOB NOT NULL,
  push_magic   LONGBLOB NOT NULL,
  unlock_token LONGBLOB NOT NULL,
  token_at     BIGINT NOT NULL,
  wake_at      BIGINT NOT NULL,
  KEY enrollment_wake (wake_at),
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- body is the command without its payload, which is parcel.sealed. sent_for is
-- the command whose report was answered with this one.
CREATE TABLE IF NOT EXISTS command (
  uuid         VARCHAR(64) NOT NULL PRIMARY KEY,
  device_id    VARCHAR(64) NOT NULL,
  seq          BIGINT NOT NULL,
  request_type VARCHAR(255) NOT NULL,
  body         LONGBLOB NOT NULL,
  parcel_id    VARCHAR(64) NOT NULL,
  state        VARCHAR(32) NOT NULL,
  not_before   BIGINT NOT NULL,
  lease_until  BIGINT NOT NULL,
  attempts     INTEGER NOT NULL,
  error_chain  MEDIUMTEXT NOT NULL,
  sent_for     VARCHAR(255) NOT NULL,
  created_at   BIGINT NOT NULL,
  sent_at      BIGINT NOT NULL,
  done_at      BIGINT NOT NULL,
  KEY command_device (device_id, done_at, seq),
  KEY command_parcel (parcel_id),
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What a device last said that it holds.
CREATE TABLE IF NOT EXISTS device_certificate (
  device_id   VARCHAR(64) NOT NULL,
  fingerprint VARCHAR(64) NOT NULL,
  is_identity INTEGER NOT NULL,
  seen_at     BIGINT NOT NULL,
  PRIMARY KEY (device_id, fingerprint),
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS device_app (
  device_id         VARCHAR(64) NOT NULL,
  bundle_id         VARCHAR(255) NOT NULL,
  state             VARCHAR(255) NOT NULL,
  has_configuration INTEGER NOT NULL,
  seen_at           BIGINT NOT NULL,
  PRIMARY KEY (device_id, bundle_id),
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS device_inventory (
  device_id       VARCHAR(64) NOT NULL PRIMARY KEY,
  certificates_at BIGINT NOT NULL,
  apps_at         BIGINT NOT NULL,
  information_at  BIGINT NOT NULL,
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
