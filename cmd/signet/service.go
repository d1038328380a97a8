package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/logx"
)

// service is how a service manager and its administrator speak with a running
// server: it says when it is ready and when it goes, shows that it is alive,
// and listens to SIGHUP.
type service struct {
	log    *slog.Logger
	pulse  *pulse
	reload func() error
}

// ready tells systemd that the server serves, and what follows until ctx ends.
func (v service) ready(ctx context.Context) {
	v.tell(daemon.SdNotifyReady)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hup)
		for {
			select {
			case <-ctx.Done():
				v.tell(daemon.SdNotifyStopping)
				return
			case <-hup:
				v.reloaded(v.reload())
			}
		}
	}()
	if every, err := daemon.SdWatchdogEnabled(false); err == nil && every > 0 {
		go v.watchdog(ctx, every/2)
	}
}

func (v service) reloaded(err error) {
	if err != nil {
		v.log.Error("not reloaded, all stays as it was", logx.Err, err)
		return
	}
	v.log.Info("reloaded certificate and log level")
}

// watchdog shows systemd that background work goes on. When a step hangs it
// stops doing so, and is restarted.
func (v service) watchdog(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		if err := v.pulse.silent(time.Now()); err != nil {
			v.log.Error("the watchdog is not told that all is well", logx.Err, err)
		} else {
			v.tell(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// tell does nothing without a service manager.
func (v service) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		v.log.Warn("the service manager cannot be told", logx.Kind, state, logx.Err, err)
	}
}

// reload reads anew what can change while the server runs: the TLS certificate
// and the least that is logged. All else takes a restart.
func (a *app) reload(c *cobra.Command, s *server, level *slog.LevelVar) error {
	cfg, err := a.checked(c)
	if err != nil {
		return err
	}
	level.Set(logLevel(cfg))
	if s.files == nil {
		return nil
	}
	if err := s.files.reread(); err != nil {
		return fmt.Errorf("reading the TLS certificate: %w", err)
	}
	return nil
}
