-- +goose Up
-- Nobody looks for a thumbprint, and a request that is repeated is found by its
-- key. Each index is a page more to read and write for each certificate.
DROP INDEX certificate_thumbprint;
DROP INDEX issuance_transaction;
