-- +goose Up
-- What an organisation's own directory says of a user, and a device of its
-- modem and radio: certificates may carry it.
ALTER TABLE users ADD COLUMN department TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN sam_account TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN on_premises_upn TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN distinguished_name TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN sid TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN imei TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN meid TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN wifi_mac TEXT NOT NULL DEFAULT '';

-- Certificate profiles that an administrator made, or shipped ones that he
-- changed. The document is JSON.
CREATE TABLE certificate_profile (
  name       TEXT PRIMARY KEY,
  document   TEXT NOT NULL,
  changed_at BIGINT NOT NULL
);
