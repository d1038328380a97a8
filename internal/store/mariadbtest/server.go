package mariadbtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
)

// Server is a MariaDB of ours. It is found on a socket only.
type Server struct {
	dir     string
	options []string
	litter  string // what is removed when it ends, if anything

	keeper *exec.Cmd
	leash  io.Closer
}

// keeper runs a program until its standard input ends: that happens when the
// test process lets go of it, also by dying.
const keeper = `litter=$0 log=$1; shift
"$@" </dev/null >>"$log" 2>&1 &
cat >/dev/null
kill -9 $! 2>/dev/null
wait
[ -z "$litter" ] || rm -rf "$litter"`

// install makes the files of a server.
func install(options ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "signet-mariadb-")
	if err != nil {
		return nil, err
	}
	who, err := user.Current()
	if err != nil {
		return nil, err
	}
	// One that starts clears away the temporary tables of all that share a folder.
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return nil, err
	}
	s := &Server{dir: dir, options: append([]string{
		"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--user=" + who.Username, "--tmpdir=" + tmp,
		"--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M", "--performance-schema=OFF",
	}, options...)}
	cmd := exec.Command("mariadb-install-db", append(s.options[:4:4], "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=32M")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return s, nil
}

// DSN is that of the server's administrator, without a database.
func (s *Server) DSN() string { return "root@unix(" + s.Socket() + ")/" }

// Socket is where clients find it.
func (s *Server) Socket() string { return filepath.Join(s.dir, "sock") }

// Start starts it, for the first time or after [Server.Kill].
func (s *Server) Start() error {
	args := append([]string{"-c", keeper, s.litter, filepath.Join(s.dir, "log"), "mariadbd"}, s.options...)
	s.keeper = exec.Command("sh", append(args, "--skip-networking", "--socket="+s.Socket(),
		"--pid-file="+filepath.Join(s.dir, "pid"), "--max-connections=400")...)
	leash, err := s.keeper.StdinPipe()
	if err != nil {
		return err
	}
	s.leash = leash
	if err := s.keeper.Start(); err != nil {
		return err
	}
	return s.ready()
}

// Kill ends it with SIGKILL, as a power failure would, but for the disk.
func (s *Server) Kill() {
	s.leash.Close()
	s.keeper.Wait()
}
