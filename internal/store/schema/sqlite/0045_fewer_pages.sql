-- +goose Up
-- Looked for among issued certificates only. Each index is a page more to write
-- for each reservation.
DROP INDEX issuance_fingerprint;
CREATE INDEX issuance_fingerprint ON issuance (fingerprint) WHERE state = 'issued';
DROP INDEX issuance_time;
CREATE INDEX issuance_time ON issuance (issued_at, fingerprint) WHERE issued_at > 0;
