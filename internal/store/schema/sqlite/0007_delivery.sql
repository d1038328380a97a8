-- +goose Up
-- A parcel is one thing to bring to one device. frame is the profile as JSON,
-- without secrets, empty for what is no profile. sealed is the profile as the
-- device gets it, only while it is on its way. wants_seal: the keeper is to
-- make it. on_device: something of that identifier may be on the device.
CREATE TABLE parcel (
  id           TEXT PRIMARY KEY,
  device_id    TEXT NOT NULL REFERENCES device (id),
  user_id      TEXT NOT NULL,
  kind         TEXT NOT NULL,
  identifier   TEXT NOT NULL,
  digest       TEXT NOT NULL,
  label        TEXT NOT NULL,
  certs        TEXT NOT NULL,
  signs        INTEGER NOT NULL,
  frame        TEXT NOT NULL,
  needs_key    INTEGER NOT NULL,
  wants_seal   INTEGER NOT NULL,
  sealed       BLOB,
  sealed_at    BIGINT NOT NULL,
  lease_until  BIGINT NOT NULL,
  on_device    INTEGER NOT NULL,
  attempts     INTEGER NOT NULL,
  failure      TEXT NOT NULL,
  failed_at    BIGINT NOT NULL,
  command_uuid TEXT NOT NULL,
  removal_uuid TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  ended_at     BIGINT NOT NULL,
  ending       TEXT NOT NULL
);
CREATE INDEX parcel_device ON parcel (device_id, ended_at);
CREATE INDEX parcel_unsealed ON parcel (lease_until) WHERE wants_seal = 1;
CREATE INDEX parcel_parked ON parcel (sealed_at) WHERE sealed_at > 0 AND sealed IS NULL AND wants_seal = 0 AND ended_at = 0;
CREATE INDEX parcel_ended ON parcel (ended_at) WHERE ended_at > 0;

-- When the plan of a device may change though nothing happens.
CREATE TABLE delivery_clock (
  device_id TEXT PRIMARY KEY REFERENCES device (id),
  at        BIGINT NOT NULL
);
CREATE INDEX delivery_clock_at ON delivery_clock (at);
