-- +goose NO TRANSACTION
-- +goose Up
-- Nobody looks for a thumbprint, and a request that is repeated is found by its
-- key. Each index is a page more to read and write for each certificate.
DROP INDEX IF EXISTS certificate_thumbprint ON certificate;
DROP INDEX IF EXISTS issuance_transaction ON issuance;
