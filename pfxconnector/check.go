package pfxconnector

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// What is wrong with a key that is in escrow.
var (
	ErrDamaged = fault.New(fault.Invalid, "pfx_record_damaged",
		"What is stored of this key does not fit together.", "Restore it from a backup, or import its file again.")
	ErrNoWrap = fault.New(fault.Invalid, "pfx_wrap_missing",
		"The key is not sealed to every recipient that keys are sealed to now.", "Import its file again after removing it, or restore it from a backup.")
)

// Check tells whether the sealed key of that id is whole, as far as that shows
// without opening it: ErrDamaged or ErrNoWrap, and ErrKeyUnknown when there is
// none.
func (s *Service) Check(ctx context.Context, id string) error {
	d, err := s.Store.Deposit(ctx, id)
	if err != nil {
		return fmt.Errorf("reading sealed key %s: %w", id, err)
	}
	err = s.Sealer.Check(d)
	switch {
	case errors.Is(err, escrow.ErrDamaged):
		return ErrDamaged.With(err)
	case errors.Is(err, escrow.ErrNoWrap):
		return ErrNoWrap.With(err)
	}
	return err
}
