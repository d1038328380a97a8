-- +goose Up
-- When somebody wished that all certificates of the device be renewed, 0 for
-- never.
ALTER TABLE device ADD COLUMN renew_at BIGINT NOT NULL DEFAULT 0;

-- Which issued certificates come to their end.
CREATE INDEX certificate_ending ON certificate (not_after) WHERE source = 'issued' AND revoked_at = 0;

-- What a person holds ends with his trust.
CREATE INDEX link_expires ON link (expires_at);
CREATE INDEX link_user ON link (user_id);
CREATE INDEX session_user ON session (user_id);
