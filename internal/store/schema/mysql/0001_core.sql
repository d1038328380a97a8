-- +goose NO TRANSACTION
-- +goose Up
-- What the files of this folder keep to: a step can be repeated, since each
-- statement is a transaction of its own here; comparisons are exact, of case by
-- the collation, of blanks at the end (which it ignores) by VARBINARY where
-- they may be; an index covers what a partial one leaves out on SQLite.
CREATE TABLE IF NOT EXISTS users (
  id         VARCHAR(64) NOT NULL PRIMARY KEY,
  upn        VARCHAR(320) NOT NULL UNIQUE,
  mail       VARCHAR(320) NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  given_name TEXT NOT NULL,
  surname    TEXT NOT NULL,
  disabled   INTEGER NOT NULL,
  created_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS user_alias (
  address VARCHAR(320) NOT NULL PRIMARY KEY,
  user_id VARCHAR(64) NOT NULL,
  KEY user_alias_user (user_id),
  FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS groups_ (
  id   VARCHAR(64) NOT NULL PRIMARY KEY,
  name VARBINARY(255) NOT NULL UNIQUE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE IF NOT EXISTS membership (
  group_id VARCHAR(64) NOT NULL,
  user_id  VARCHAR(64) NOT NULL,
  PRIMARY KEY (group_id, user_id),
  KEY membership_user (user_id),
  FOREIGN KEY (group_id) REFERENCES groups_ (id),
  FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- A device is due while due_rev > done_rev; the planner leases it meanwhile.
CREATE TABLE IF NOT EXISTS device (
  id          VARCHAR(64) NOT NULL PRIMARY KEY,
  user_id     VARCHAR(64) NOT NULL,
  state       VARCHAR(32) NOT NULL,
  udid        VARCHAR(255) NULL UNIQUE,
  serial      VARCHAR(255) NOT NULL,
  model       TEXT NOT NULL,
  name        TEXT NOT NULL,
  os_version  TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  enrolled_at BIGINT NOT NULL,
  seen_at     BIGINT NOT NULL,
  due_rev     BIGINT NOT NULL,
  done_rev    BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  KEY device_user (user_id),
  KEY device_due (lease_until, due_rev, done_rev),
  FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS journal (
  id          VARCHAR(64) NOT NULL PRIMARY KEY,
  at          BIGINT NOT NULL,
  actor_kind  VARCHAR(32) NOT NULL,
  actor_id    TEXT NOT NULL,
  remote      TEXT NOT NULL,
  action      VARCHAR(255) NOT NULL,
  user_id     VARCHAR(64) NOT NULL,
  device_id   VARCHAR(64) NOT NULL,
  certificate VARCHAR(64) NOT NULL,
  detail      MEDIUMTEXT NOT NULL,
  KEY journal_at (at),
  KEY journal_user (user_id, at),
  KEY journal_device (device_id, at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The one certificate record: scep writes issued ones, pfxconnector imported ones.
CREATE TABLE IF NOT EXISTS certificate (
  fingerprint VARCHAR(64) NOT NULL,
  user_id     VARCHAR(64) NOT NULL,
  device_id   VARCHAR(64) NOT NULL,
  spki        VARCHAR(64) NOT NULL,
  thumbprint  VARCHAR(64) NOT NULL,
  source      VARCHAR(32) NOT NULL,
  use_        VARCHAR(32) NOT NULL,
  profile     VARCHAR(255) NOT NULL,
  serial      VARCHAR(255) NOT NULL,
  subject     MEDIUMTEXT NOT NULL,
  issuer      MEDIUMTEXT NOT NULL,
  addresses   MEDIUMTEXT NOT NULL,
  not_before  BIGINT NOT NULL,
  not_after   BIGINT NOT NULL,
  der         LONGBLOB NOT NULL,
  chain       LONGBLOB NOT NULL,
  deliverable TEXT NOT NULL,
  pinned      INTEGER NOT NULL,
  created_at  BIGINT NOT NULL,
  revoked_at  BIGINT NOT NULL,
  reason      TEXT NOT NULL,
  PRIMARY KEY (fingerprint, user_id),
  KEY certificate_user (user_id, source),
  KEY certificate_device (device_id, profile),
  KEY certificate_thumbprint (thumbprint),
  KEY certificate_serial (serial),
  KEY certificate_spki (spki),
  KEY certificate_revoked (revoked_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
