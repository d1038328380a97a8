-- +goose NO TRANSACTION
-- +goose Up
-- A parcel is one thing to bring to one device. frame is the profile as JSON,
-- without secrets, empty for what is no profile. sealed is the profile as the
-- device gets it, only while it is on its way. wants_seal: the keeper is to
-- make it. on_device: something of that identifier may be on the device.
CREATE TABLE IF NOT EXISTS parcel (
  id           VARCHAR(64) NOT NULL PRIMARY KEY,
  device_id    VARCHAR(64) NOT NULL,
  user_id      VARCHAR(64) NOT NULL,
  kind         VARCHAR(32) NOT NULL,
  identifier   TEXT NOT NULL,
  digest       TEXT NOT NULL,
  label        TEXT NOT NULL,
  certs        MEDIUMTEXT NOT NULL,
  signs        INTEGER NOT NULL,
  frame        MEDIUMTEXT NOT NULL,
  needs_key    INTEGER NOT NULL,
  wants_seal   INTEGER NOT NULL,
  sealed       LONGBLOB NULL,
  sealed_at    BIGINT NOT NULL,
  lease_until  BIGINT NOT NULL,
  on_device    INTEGER NOT NULL,
  attempts     INTEGER NOT NULL,
  failure      TEXT NOT NULL,
  failed_at    BIGINT NOT NULL,
  command_uuid VARCHAR(64) NOT NULL,
  removal_uuid VARCHAR(64) NOT NULL,
  created_at   BIGINT NOT NULL,
  ended_at     BIGINT NOT NULL,
  ending       VARCHAR(32) NOT NULL,
  KEY parcel_device (device_id, ended_at),
  KEY parcel_unsealed (wants_seal, lease_until),
  KEY parcel_parked (ended_at, wants_seal, sealed_at),
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- When the plan of a device may change though nothing happens.
CREATE TABLE IF NOT EXISTS delivery_clock (
  device_id VARCHAR(64) NOT NULL PRIMARY KEY,
  at        BIGINT NOT NULL,
  KEY delivery_clock_at (at),
  FOREIGN KEY (device_id) REFERENCES device (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
