package store

import (
	"context"
	"database/sql"
	"sync"
)

// maxPrepared bounds how many texts are kept prepared. Those whose number of
// placeholders varies would fill it; what comes later is prepared each time.
const maxPrepared = 200

// prepared keeps statements prepared between calls: on SQLite preparing takes
// longer than the short reads of a poll. A nil one keeps none.
type prepared struct {
	db *sql.DB
	mu sync.RWMutex
	by map[string]*sql.Stmt
}

func newPrepared(db *sql.DB) *prepared { return &prepared{db: db, by: map[string]*sql.Stmt{}} }

// get gives the statement of a query; nil when it is not to be kept.
func (p *prepared) get(ctx context.Context, query string) (*sql.Stmt, error) {
	if p == nil {
		return nil, nil
	}
	p.mu.RLock()
	s, full := p.by[query], len(p.by) >= maxPrepared
	p.mu.RUnlock()
	if s != nil || full {
		return s, nil
	}
	return p.add(ctx, query)
}

func (p *prepared) add(ctx context.Context, query string) (*sql.Stmt, error) {
	s, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if there := p.by[query]; there != nil || len(p.by) >= maxPrepared { // others were quicker
		return there, s.Close()
	}
	p.by[query] = s
	return s, nil
}
