-- +goose Up
-- How many certificates were made for somebody within the hour.
CREATE INDEX issuance_user ON issuance (user_id, created_at, device_id);

-- How many keys were opened within the hour.
CREATE INDEX journal_opened ON journal (action, at, device_id) WHERE action = 'key.opened';
