package postgresql

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/deploy/local/process"
)

// Options say where and how a server runs.
type Options struct {
	// Folder keeps the data. It is made when absent; an existing one is used again.
	Folder string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// Settings are passed as -c name=value, over PostgreSQL's defaults.
	Settings map[string]string
	// Binaries is the folder of postgres and initdb. Default: Find().
	Binaries string
}

// Server is a running server. Its methods may be called from one goroutine at a time.
type Server struct {
	// URL connects as the superuser to the database "postgres".
	URL string

	options  Options
	password string
	process  *process.Process
}

const superuser = "postern"

// Start brings a server up and waits until it answers, or until ctx ends.
func Start(ctx context.Context, options Options) (*Server, error) {
	if options.Binaries == "" {
		found, err := Find()
		if err != nil {
			return nil, err
		}
		options.Binaries = found
	}
	folder, err := filepath.Abs(options.Folder)
	if err != nil {
		return nil, err
	}
	options.Folder = folder
	if options.Port == 0 {
		if options.Port, err = process.FreePort(); err != nil {
			return nil, err
		}
	}
	server := &Server{options: options}
	if err := server.initialise(ctx); err != nil {
		return nil, err
	}
	server.URL = fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres?sslmode=disable", superuser, server.password, options.Port)
	return server, server.Restart(ctx)
}

// Database makes a database if it is absent and returns its URL.
func (s *Server) Database(ctx context.Context, name string) (string, error) {
	connection, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close(context.WithoutCancel(ctx)) }()
	var exists bool
	if err := connection.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, name).Scan(&exists); err != nil {
		return "", err
	}
	if !exists {
		if _, err := connection.Exec(ctx, `create database `+pgx.Identifier{name}.Sanitize()); err != nil {
			return "", err
		}
	}
	return strings.Replace(s.URL, "/postgres?", "/"+name+"?", 1), nil
}

// initialise makes the cluster once. The marker is written last, so a folder half made by a killed
// run is made anew.
func (s *Server) initialise(ctx context.Context) error {
	folder := s.options.Folder
	data, marker := filepath.Join(folder, "data"), filepath.Join(folder, "password")
	if password, err := os.ReadFile(marker); err == nil {
		s.password = string(password)
		return nil
	}
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o711); err != nil {
		return err
	}
	s.password = rand.Text()
	secret := filepath.Join(folder, "password.new")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return err
	}
	credential, err := unprivileged()
	if err != nil {
		return err
	}
	if credential != nil {
		if err := os.MkdirAll(data, 0o700); err != nil {
			return err
		}
		for _, path := range []string{data, secret} {
			if err := os.Chown(path, int(credential.Uid), int(credential.Gid)); err != nil {
				return err
			}
		}
	}
	initdb := exec.CommandContext(ctx, filepath.Join(s.options.Binaries, "initdb"), "--pgdata", data, "--username", superuser,
		"--pwfile", secret, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	initdb.Dir = "/"
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, bytes.TrimSpace(output))
	}
	return os.Rename(secret, marker)
}

// Restart starts the server again after Stop or Kill, on the same port with the same data.
func (s *Server) Restart(ctx context.Context) error {
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := s.launch(ctx)
		// A server that was killed may still be letting go of its folder or its port.
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) || !strings.Contains(err.Error(), "already") {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (s *Server) launch(ctx context.Context) error {
	credential, err := unprivileged()
	if err != nil {
		return err
	}
	arguments := []string{"-D", filepath.Join(s.options.Folder, "data"), "-p", fmt.Sprint(s.options.Port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "logging_collector=off"}
	for name, value := range s.options.Settings {
		arguments = append(arguments, "-c", name+"="+value)
	}
	s.process, err = process.Start(process.Program{
		Path: filepath.Join(s.options.Binaries, "postgres"), Arguments: arguments, Folder: "/", Credential: credential,
		Death: syscall.SIGINT, // a fast shutdown
	})
	if err != nil {
		return err
	}
	return s.ready(ctx)
}

func (s *Server) ready(ctx context.Context) error {
	err := s.process.Ready(ctx, "PostgreSQL", time.Minute, func(ctx context.Context) error {
		connection, err := pgx.Connect(ctx, s.URL)
		if err != nil {
			return err
		}
		return connection.Close(ctx)
	})
	if err != nil {
		return errors.Join(err, s.Stop())
	}
	return nil
}

// Stop ends the server cleanly: open transactions are rolled back, nothing committed is lost.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server as a power failure would (an immediate shutdown: recovery at the next start).
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(signal syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	return s.process.End(signal, 30*time.Second)
}
