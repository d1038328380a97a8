-- +goose Up
CREATE TABLE users (
  id         TEXT PRIMARY KEY,
  upn        TEXT NOT NULL UNIQUE,
  mail       TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  given_name TEXT NOT NULL,
  surname    TEXT NOT NULL,
  disabled   INTEGER NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE TABLE user_alias (
  address TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id)
);
CREATE INDEX user_alias_user ON user_alias (user_id);
CREATE TABLE groups_ (
  id   TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);
CREATE TABLE membership (
  group_id TEXT NOT NULL REFERENCES groups_ (id),
  user_id  TEXT NOT NULL REFERENCES users (id),
  PRIMARY KEY (group_id, user_id)
);
CREATE INDEX membership_user ON membership (user_id);

-- A device is due while due_rev > done_rev; the planner leases it meanwhile.
CREATE TABLE device (
  id          TEXT PRIMARY KEY,
  user_id     TEXT NOT NULL REFERENCES users (id),
  state       TEXT NOT NULL,
  udid        TEXT UNIQUE,
  serial      TEXT NOT NULL,
  model       TEXT NOT NULL,
  name        TEXT NOT NULL,
  os_version  TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  enrolled_at BIGINT NOT NULL,
  seen_at     BIGINT NOT NULL,
  due_rev     BIGINT NOT NULL,
  done_rev    BIGINT NOT NULL,
  lease_until BIGINT NOT NULL
);
CREATE INDEX device_user ON device (user_id);
CREATE INDEX device_due ON device (lease_until) WHERE due_rev > done_rev;

CREATE TABLE journal (
  id          TEXT PRIMARY KEY,
  at          BIGINT NOT NULL,
  actor_kind  TEXT NOT NULL,
  actor_id    TEXT NOT NULL,
  remote      TEXT NOT NULL,
  action      TEXT NOT NULL,
  user_id     TEXT NOT NULL,
  device_id   TEXT NOT NULL,
  certificate TEXT NOT NULL,
  detail      TEXT NOT NULL
);
CREATE INDEX journal_at ON journal (at);
CREATE INDEX journal_user ON journal (user_id, at);
CREATE INDEX journal_device ON journal (device_id, at);

-- The one certificate record: scep writes issued ones, pfxconnector imported ones.
CREATE TABLE certificate (
  fingerprint TEXT NOT NULL,
  user_id     TEXT NOT NULL,
  device_id   TEXT NOT NULL,
  spki        TEXT NOT NULL,
  thumbprint  TEXT NOT NULL,
  source      TEXT NOT NULL,
  use_        TEXT NOT NULL,
  profile     TEXT NOT NULL,
  serial      TEXT NOT NULL,
  subject     TEXT NOT NULL,
  issuer      TEXT NOT NULL,
  addresses   TEXT NOT NULL,
  not_before  BIGINT NOT NULL,
  not_after   BIGINT NOT NULL,
  der         BLOB NOT NULL,
  chain       BLOB NOT NULL,
  deliverable TEXT NOT NULL,
  pinned      INTEGER NOT NULL,
  created_at  BIGINT NOT NULL,
  revoked_at  BIGINT NOT NULL,
  reason      TEXT NOT NULL,
  PRIMARY KEY (fingerprint, user_id)
);
CREATE INDEX certificate_user ON certificate (user_id, source);
CREATE INDEX certificate_device ON certificate (device_id, profile);
CREATE INDEX certificate_thumbprint ON certificate (thumbprint);
CREATE INDEX certificate_serial ON certificate (serial);
