-- +goose NO TRANSACTION
-- +goose Up
-- What an organisation's own directory says of a user, and a device of its
-- modem and radio: certificates may carry it.
ALTER TABLE users ADD COLUMN IF NOT EXISTS department VARCHAR(320) COLLATE utf8mb4_bin NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN IF NOT EXISTS sam_account VARCHAR(320) COLLATE utf8mb4_bin NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN IF NOT EXISTS on_premises_upn VARCHAR(320) COLLATE utf8mb4_bin NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN IF NOT EXISTS distinguished_name VARCHAR(2000) COLLATE utf8mb4_bin NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN IF NOT EXISTS sid VARCHAR(320) COLLATE utf8mb4_bin NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN IF NOT EXISTS imei VARCHAR(255) COLLATE utf8mb4_bin NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN IF NOT EXISTS meid VARCHAR(255) COLLATE utf8mb4_bin NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN IF NOT EXISTS wifi_mac VARCHAR(255) COLLATE utf8mb4_bin NOT NULL DEFAULT '';

-- Certificate profiles that an administrator made, or shipped ones that he
-- changed. The document is JSON.
CREATE TABLE IF NOT EXISTS certificate_profile (
  name       VARCHAR(64) NOT NULL PRIMARY KEY,
  document   MEDIUMTEXT NOT NULL,
  changed_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
