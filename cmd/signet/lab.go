package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/scep"
)

// lab gives the static challenge of a laboratory; nil without one.
func (s *server) lab() (*scep.Lab, error) {
	c := s.cfg.SCEP
	if c.LabChallengeFile == "" {
		return nil, nil
	}
	secret, err := os.ReadFile(c.LabChallengeFile)
	if err != nil {
		return nil, fmt.Errorf("reading scep.lab_challenge_file: %w", err)
	}
	return &scep.Lab{Profile: c.LabProfile, Challenge: seal.NewSecret(bytes.TrimRight(secret, "\r\n")),
		User: func(ctx context.Context) (subject.User, error) { return s.directory.User(ctx, c.LabUser) }}, nil
}

// warnOfLab says at start what a static challenge opens.
func (s *server) warnOfLab() error {
	if s.certifier.Lab == nil {
		return nil
	}
	if err := s.certifier.CheckLab(context.Background()); err != nil {
		return fmt.Errorf("scep.lab_profile: %w", err)
	}
	s.log.Warn("scep.lab_challenge_file is set: whoever knows it gets as many certificates as he likes, in the name of scep.lab_user",
		logx.Profile, s.cfg.SCEP.LabProfile)
	return nil
}
