-- +goose Up
-- Alarms, and when they were told.
CREATE INDEX journal_alarm ON journal (action, at) WHERE action = 'key.alarm';
CREATE INDEX journal_alarm_told ON journal (action, at) WHERE action = 'alarm.told';

-- What users have not been told of yet: how many of their keys were opened for
-- a device, from when to when.
CREATE TABLE opening (
  device_id TEXT PRIMARY KEY,
  user_id   TEXT NOT NULL,
  keys_     INTEGER NOT NULL,
  first_at  BIGINT NOT NULL,
  last_at   BIGINT NOT NULL
);
CREATE INDEX opening_user ON opening (user_id);
CREATE INDEX opening_first ON opening (first_at);
