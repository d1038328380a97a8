-- +goose Up
-- The chain of the journal. Rows are only added, by the keeper.
CREATE TABLE audit_block (
  seq      BIGINT NOT NULL PRIMARY KEY,
  at       BIGINT NOT NULL,
  entries  INTEGER NOT NULL,
  previous TEXT NOT NULL,
  hash     TEXT NOT NULL,
  mark     BLOB NOT NULL
) WITHOUT ROWID;

-- Which line of the journal has which place in which block. A line may be gone
-- that should not be, so that it is not referred to.
CREATE TABLE audit_link (
  block  BIGINT NOT NULL,
  n      INTEGER NOT NULL,
  entry  TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (block, n)
) WITHOUT ROWID;
CREATE UNIQUE INDEX audit_link_entry ON audit_link (entry);
