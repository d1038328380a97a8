-- +goose Up
-- One invitation a device. Only hashes of its link and code are here.
CREATE TABLE invitation (
  token       TEXT PRIMARY KEY,
  code        TEXT NOT NULL,
  lab         INTEGER NOT NULL,
  device_id   TEXT NOT NULL UNIQUE REFERENCES device (id),
  tries       INTEGER NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  redeemed_at BIGINT NOT NULL
);

-- A device's bond to us. Tokens are boxed, empty for none. wake_at is the wish
-- for a push: from when on, 0 for none.
CREATE TABLE enrollment (
  device_id    TEXT PRIMARY KEY REFERENCES device (id),
  topic        TEXT NOT NULL,
  identity     TEXT NOT NULL,
  identity_at  BIGINT NOT NULL,
  previous     TEXT NOT NULL,
  push_token   BLOB NOT NULL,
  push_magic   BLOB NOT NULL,
  unlock_token BLOB NOT NULL,
  token_at     BIGINT NOT NULL,
  wake_at      BIGINT NOT NULL
);
CREATE INDEX enrollment_wake ON enrollment (wake_at) WHERE wake_at > 0;

-- body is the command without its payload, which is parcel.sealed. sent_for is
-- the command whose report was answered with this one.
CREATE TABLE command (
  uuid         TEXT PRIMARY KEY,
  device_id    TEXT NOT NULL REFERENCES device (id),
  seq          BIGINT NOT NULL,
  request_type TEXT NOT NULL,
  body         BLOB NOT NULL,
  parcel_id    TEXT NOT NULL,
  state        TEXT NOT NULL,
  not_before   BIGINT NOT NULL,
  lease_until  BIGINT NOT NULL,
  attempts     INTEGER NOT NULL,
  error_chain  TEXT NOT NULL,
  sent_for     TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  sent_at      BIGINT NOT NULL,
  done_at      BIGINT NOT NULL
);
CREATE INDEX command_device ON command (device_id, done_at, seq);
CREATE INDEX command_parcel ON command (parcel_id);

-- What a device last said that it holds.
CREATE TABLE device_certificate (
  device_id   TEXT NOT NULL REFERENCES device (id),
  fingerprint TEXT NOT NULL,
  is_identity INTEGER NOT NULL,
  seen_at     BIGINT NOT NULL,
  PRIMARY KEY (device_id, fingerprint)
);
CREATE TABLE device_app (
  device_id         TEXT NOT NULL REFERENCES device (id),
  bundle_id         TEXT NOT NULL,
  state             TEXT NOT NULL,
  has_configuration INTEGER NOT NULL,
  seen_at           BIGINT NOT NULL,
  PRIMARY KEY (device_id, bundle_id)
);
CREATE TABLE device_inventory (
  device_id       TEXT PRIMARY KEY REFERENCES device (id),
  certificates_at BIGINT NOT NULL,
  apps_at         BIGINT NOT NULL,
  information_at  BIGINT NOT NULL
);
