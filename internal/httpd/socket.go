package httpd

import (
	"net"
	"os"
	"path/filepath"
)

// listenPrivately makes the socket in a folder of its own, closes it to
// others and moves it into place, so that it is never open to them.
func listenPrivately(path string, mode os.FileMode) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".sock")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	l, err := net.Listen("unix", made)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(made, mode); err != nil {
		l.Close()
		return nil, err
	}
	if err := os.Rename(made, path); err != nil {
		l.Close()
		return nil, err
	}
	return placed{l, path}, nil
}

// placed is a listener on a socket that was moved since it was made.
type placed struct {
	net.Listener
	path string
}

// Addr gives where the socket is.
func (p placed) Addr() net.Addr { return &net.UnixAddr{Name: p.path, Net: "unix"} }
